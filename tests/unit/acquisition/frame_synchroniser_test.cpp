#include "acquisition/frame_synchroniser.hpp"

#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::acquisition;
using namespace std::chrono_literals;
using signals::Quality;
using signals::Reason;

namespace {

constexpr base::Instant kOrigin{10s};

signals::Sample good(signals::TagIndex tag, double value, base::Duration since_origin) {
  signals::Sample sample;
  sample.tag = tag;
  sample.value = value;
  sample.quality = Quality::good;
  sample.time = kOrigin + since_origin;
  return sample;
}

signals::Sample bad(signals::TagIndex tag, Reason reason, base::Duration since_origin, double value = std::nan("")) {
  signals::Sample sample = good(tag, value, since_origin);
  sample.quality = Quality::bad;
  sample.reason = reason;
  return sample;
}

// Tag 0 feeds the input, tag 1 the output, tag 2 nothing.
SynchroniserSetup setup(OnStale on_stale = OnStale::hold) {
  InputSetup input;
  input.source.tag = 0;
  input.source.max_age = 300ms;
  input.source.on_stale = on_stale;
  input.nominal = 3.0;
  return {kOrigin, 100ms, 0, {input}, {{signals::TagIndex{1}, 300ms}}};
}

}  // namespace

TEST_CASE("A sample belongs to the tick nearest to its time whatever its jitter") {
  FrameSynchroniser synchroniser(setup(), 3);
  std::mt19937_64 random(3);
  std::uniform_int_distribution<std::int64_t> jitter(-49'999'999, 49'999'999);
  for (int k = 0; k < 500; ++k) {
    synchroniser.accept(good(1, k, k * 100ms + base::Duration{jitter(random)}));
    const signals::Frame& frame = synchroniser.close(k);
    CHECK(frame.step == k);
    CHECK(frame.time == kOrigin + k * 100ms);
    CHECK(frame.outputs[0].fresh);
    CHECK(frame.outputs[0].value == k);
    CHECK(frame.outputs[0].age >= base::Duration{0});
  }
  CHECK(synchroniser.counters().late_total == 0);
  CHECK(synchroniser.counters().future_total == 0);
}

TEST_CASE("Samples of coming ticks wait for their tick") {
  FrameSynchroniser synchroniser(setup(), 3);
  for (int k = 0; k < 8; ++k) synchroniser.accept(good(1, k, k * 100ms));
  for (int k = 0; k < 8; ++k) synchroniser.accept(good(0, 10 + k, k * 100ms));
  for (int k = 0; k < 8; ++k) {
    const signals::Frame& frame = synchroniser.close(k);
    CHECK(frame.outputs[0].fresh);
    CHECK(frame.outputs[0].value == k);
    CHECK(frame.inputs[0].value == 10 + k);
  }
  CHECK(synchroniser.counters().future_total == 0);
}

TEST_CASE("Samples too far ahead displace the oldest that wait and are counted as future") {
  FrameSynchroniser synchroniser(setup(), 3);
  for (int k = 0; k < 11; ++k) synchroniser.accept(good(1, k, k * 100ms));
  CHECK(synchroniser.counters().future_total == 2);
  CHECK_FALSE(synchroniser.close(1).outputs[0].fresh);
  CHECK(synchroniser.close(2).outputs[0].value == 2.0);
  const signals::Frame& last = synchroniser.close(10);  // ticks may be skipped
  CHECK(last.outputs[0].fresh);
  CHECK(last.outputs[0].value == 10.0);
}

TEST_CASE("Without a history late samples are counted and dropped by outputs while inputs take them as newest value") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(good(0, 1.0, 0ms));
  synchroniser.accept(good(1, 5.0, 0ms));
  synchroniser.close(1);
  synchroniser.accept(good(1, 6.0, 100ms));
  synchroniser.accept(good(0, 2.0, 100ms));
  CHECK(synchroniser.counters().late_total == 2);
  CHECK(synchroniser.counters().dropped_total == 2);
  CHECK_FALSE(synchroniser.take_revision());
  const signals::Frame& frame = synchroniser.close(2);
  CHECK_FALSE(frame.outputs[0].fresh);
  CHECK(frame.outputs[0].value == 5.0);
  CHECK(frame.inputs[0].value == 2.0);
  CHECK(frame.inputs[0].age == 100ms);
}

TEST_CASE("A late sample never replaces a newer input value") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(good(0, 4.0, 200ms));
  synchroniser.close(2);
  synchroniser.accept(good(0, 1.0, 0ms));
  CHECK(synchroniser.close(3).inputs[0].value == 4.0);
}

TEST_CASE("The last good sample of a tick wins over earlier ones and over failures after it") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(bad(1, Reason::timeout, -40ms));
  synchroniser.accept(good(1, 1.0, -20ms));
  synchroniser.accept(good(1, 2.0, 10ms));
  synchroniser.accept(bad(1, Reason::timeout, 40ms));
  const signals::Frame& frame = synchroniser.close(0);
  CHECK(frame.outputs[0].value == 2.0);
  CHECK(frame.outputs[0].quality == Quality::good);
}

TEST_CASE("A slow output is fresh only in its own ticks and keeps value and quality with growing age between") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(good(1, 7.0, 0ms));
  CHECK(synchroniser.close(0).outputs[0].fresh);
  for (int k = 1; k <= 3; ++k) {
    const signals::Frame& frame = synchroniser.close(k);
    CHECK_FALSE(frame.outputs[0].fresh);
    CHECK(frame.outputs[0].value == 7.0);
    CHECK(frame.outputs[0].quality == Quality::good);
    CHECK(frame.outputs[0].age == k * 100ms);
  }
  const signals::Frame& frame = synchroniser.close(4);
  CHECK(frame.outputs[0].quality == Quality::bad);
  CHECK(frame.outputs[0].reason == Reason::stale);
  CHECK(frame.outputs[0].age == 400ms);
}

TEST_CASE("A failed request gives its reason to the output but never a new age to its value") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(good(1, 7.0, 0ms));
  synchroniser.close(0);
  synchroniser.accept(bad(1, Reason::timeout, 500ms));
  const signals::Frame& frame = synchroniser.close(5);
  CHECK(frame.outputs[0].quality == Quality::bad);
  CHECK(frame.outputs[0].reason == Reason::timeout);
  CHECK(frame.outputs[0].value == 7.0);
  CHECK(frame.outputs[0].age == 500ms);
}

TEST_CASE("A bad value is told as measured with its reason") {
  FrameSynchroniser synchroniser(setup(), 3);
  synchroniser.accept(bad(1, Reason::stuck, 0ms, 4.5));
  const signals::Frame& frame = synchroniser.close(0);
  CHECK(frame.outputs[0].value == 4.5);
  CHECK(frame.outputs[0].quality == Quality::bad);
  CHECK(frame.outputs[0].reason == Reason::stuck);
}

TEST_CASE("An input holds its last good value for max_age and says when newer samples were bad") {
  FrameSynchroniser synchroniser(setup(), 3);
  CHECK(synchroniser.close(-1).inputs[0].quality == Quality::bad);
  synchroniser.accept(good(0, 2.0, 0ms));
  CHECK(synchroniser.close(0).inputs[0].quality == Quality::good);
  synchroniser.accept(bad(0, Reason::out_of_range, 100ms, 99.0));
  const signals::Frame& held = synchroniser.close(1);
  CHECK(held.inputs[0].value == 2.0);
  CHECK(held.inputs[0].quality == Quality::uncertain);
  CHECK(held.inputs[0].reason == Reason::out_of_range);
  CHECK(held.inputs[0].age == 100ms);
  synchroniser.accept(good(0, 2.5, 200ms));
  CHECK(synchroniser.close(2).inputs[0].quality == Quality::good);
  CHECK(synchroniser.close(5).inputs[0].quality == Quality::good);
  const signals::Frame& stale = synchroniser.close(6);
  CHECK(stale.inputs[0].value == 2.5);
  CHECK(stale.inputs[0].quality == Quality::uncertain);
  CHECK(stale.inputs[0].reason == Reason::stale);
}

TEST_CASE("What an input becomes when it is stale follows on_stale") {
  for (const auto& [rule, value, quality] :
       {std::tuple{OnStale::hold, 2.0, Quality::uncertain}, std::tuple{OnStale::nominal, 3.0, Quality::uncertain},
        std::tuple{OnStale::bad, 2.0, Quality::bad}}) {
    FrameSynchroniser synchroniser(setup(rule), 3);
    const signals::FrameValue before = synchroniser.close(-1).inputs[0];
    CHECK(std::isnan(before.value) == (rule != OnStale::nominal));
    CHECK(before.age < base::Duration{0});
    CHECK(before.stand_in);
    synchroniser.accept(good(0, 2.0, 0ms));
    CHECK_FALSE(signals::FrameValue(synchroniser.close(0).inputs[0]).stand_in);
    synchroniser.accept(bad(0, Reason::timeout, 390ms));
    const signals::FrameValue after = synchroniser.close(4).inputs[0];
    CHECK(after.value == value);
    CHECK(after.quality == quality);
    CHECK(after.reason == Reason::timeout);  // why it is stale, as long as that is news itself
    CHECK(after.age == 400ms);
    CHECK(after.stand_in);
    CHECK(signals::FrameValue(synchroniser.close(10).inputs[0]).reason == Reason::stale);
    synchroniser.accept(good(0, 2.5, 1100ms));
    CHECK_FALSE(signals::FrameValue(synchroniser.close(11).inputs[0]).stand_in);
  }
}

TEST_CASE("An input is a stand-in by the age of its last good value alone and not by what came after it") {
  for (const Reason reason : {Reason::timeout, Reason::exception, Reason::out_of_range, Reason::stuck}) {
    FrameSynchroniser synchroniser(setup(), 3);
    synchroniser.accept(good(0, 2.0, 0ms));
    for (int k = 0; k < 8; ++k) {
      if (k > 0) synchroniser.accept(bad(0, reason, k * 100ms, 99.0));
      const signals::FrameValue& told = synchroniser.close(k).inputs[0];
      CHECK(told.value == 2.0);
      CHECK(told.quality == (k == 0 ? Quality::good : Quality::uncertain));
      CHECK(told.stand_in == (k > 3));  // max_age is 300 ms
    }
  }
}

TEST_CASE("A sensor's own reason outlives max_age of its input while samples with it keep coming") {
  FrameSynchroniser synchroniser(setup(), 3);
  for (int k = 0; k < 10; ++k) {
    synchroniser.accept(k == 0 ? good(0, 2.0, 0ms) : bad(0, Reason::stuck, k * 100ms, 2.0));
    synchroniser.close(k);
  }
  CHECK(synchroniser.close(10).inputs[0].reason == Reason::stuck);
  CHECK(synchroniser.close(14).inputs[0].reason == Reason::stale);
}

TEST_CASE("Constants are good and virtual outputs have no value") {
  InputSetup constant;
  constant.source.constant = 21.5;
  FrameSynchroniser synchroniser({kOrigin, 1s, 0, {constant}, {OutputSetup{}}}, 0);
  const signals::Frame& frame = synchroniser.close(12);
  CHECK(frame.inputs[0].value == 21.5);
  CHECK(frame.inputs[0].quality == Quality::good);
  CHECK(frame.inputs[0].reason == Reason::none);
  CHECK_FALSE(frame.inputs[0].stand_in);
  CHECK(std::isnan(frame.outputs[0].value));
  CHECK(frame.outputs[0].quality == Quality::bad);
}

TEST_CASE("One tag may feed several slots and a tag without a slot costs nothing") {
  SynchroniserSetup both = setup();
  both.outputs.push_back({signals::TagIndex{0}, 300ms});
  FrameSynchroniser synchroniser(both, 3);
  synchroniser.accept(good(0, 8.0, 0ms));
  synchroniser.accept(good(2, 9.0, 0ms));
  const signals::Frame& frame = synchroniser.close(0);
  CHECK(frame.inputs[0].value == 8.0);
  CHECK(frame.outputs[1].value == 8.0);
  CHECK(frame.outputs[1].fresh);
  CHECK_FALSE(frame.outputs[0].fresh);
}

TEST_CASE("The frame of a tick does not depend on samples of later ticks") {
  FrameSynchroniser with(setup(), 3);
  FrameSynchroniser without(setup(), 3);
  for (int k = 0; k < 3; ++k) {
    with.accept(good(0, k, k * 100ms));
    with.accept(good(1, k, k * 100ms));
  }
  without.accept(good(0, 0.0, 0ms));
  without.accept(good(1, 0.0, 0ms));
  const signals::Frame a = with.close(0);
  const signals::Frame b = without.close(0);
  CHECK(a.inputs[0].value == b.inputs[0].value);
  CHECK(a.outputs[0].value == b.outputs[0].value);
  CHECK(a.outputs[0].fresh == b.outputs[0].fresh);
}

namespace {

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

bool same(const signals::FrameValue& a, const signals::FrameValue& b) {
  return same(a.value, b.value) && a.quality == b.quality && a.reason == b.reason && a.age == b.age &&
         a.fresh == b.fresh && a.samples == b.samples && a.stand_in == b.stand_in;
}

bool same(const signals::Frame& a, const signals::Frame& b) {
  const auto equal = [](const signals::FrameValue& x, const signals::FrameValue& y) { return same(x, y); };
  return a.step == b.step && a.time == b.time &&
         std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(), equal) &&
         std::equal(a.outputs.begin(), a.outputs.end(), b.outputs.begin(), b.outputs.end(), equal);
}

struct Arrival {
  signals::Sample sample;
  std::int64_t after = 0;  // this tick has been closed
};

}  // namespace

TEST_CASE("Frames do not depend on the order in which samples come, as long as they come within the history") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    SynchroniserSetup settings = setup(static_cast<OnStale>(seed % 3));
    settings.outputs[0].combine = seed % 2 == 0 ? Combine::mean : Combine::last;
    settings.outputs.push_back({signals::TagIndex{0}, 500ms});
    settings.history = draw(1, 30);
    constexpr std::int64_t kTicks = 60;
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 150; ++i) {
      // No two at the same time: which of these is the newest is a matter of arrival.
      const base::Duration time = draw(-1, kTicks - 1) * 100ms + draw(-40'000, 40'000) * 1us + base::Duration{i};
      const auto tag = static_cast<signals::TagIndex>(draw(0, 1));
      const double value = static_cast<double>(draw(-1'000'000, 1'000'000)) / 7.0;
      const signals::Sample sample =
          draw(0, 4) == 0 ? bad(tag, Reason::exception, time, value) : good(tag, value, time);
      const std::int64_t tick = base::nearest_grid_point(kOrigin, 100ms, sample.time);
      // In the window while the tick is among the last `history` closed ones; the first closed tick is 0.
      arrivals.push_back({sample, tick < 0 ? -1 : draw(tick - 8, tick + settings.history - 1)});
    }
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const Arrival& a, const Arrival& b) { return a.after < b.after; });
    auto ordered = arrivals;
    std::sort(ordered.begin(), ordered.end(),
              [](const Arrival& a, const Arrival& b) { return a.sample.time < b.sample.time; });

    FrameSynchroniser in_order(settings, 3);
    std::vector<signals::Frame> expected;
    auto next = ordered.begin();
    for (std::int64_t tick = 0; tick < kTicks; ++tick) {
      while (next != ordered.end() && base::nearest_grid_point(kOrigin, 100ms, next->sample.time) <= tick) {
        in_order.accept((next++)->sample);
      }
      expected.push_back(in_order.close(tick));
    }

    FrameSynchroniser out_of_order(settings, 3);
    std::vector<signals::Frame> frames(kTicks);
    auto arrival = arrivals.begin();
    const auto take_in = [&](std::int64_t closed) {
      for (; arrival != arrivals.end() && arrival->after <= closed; ++arrival) out_of_order.accept(arrival->sample);
      const auto from = out_of_order.take_revision();
      for (std::int64_t tick = from.value_or(closed + 1); tick <= closed; ++tick) {
        frames[static_cast<std::size_t>(tick)] = out_of_order.frame(tick);
      }
    };
    take_in(-1);
    for (std::int64_t tick = 0; tick < kTicks; ++tick) {
      frames[static_cast<std::size_t>(tick)] = out_of_order.close(tick);
      take_in(tick);
    }
    CHECK(out_of_order.counters().dropped_total == 0);
    CHECK(out_of_order.counters().future_total == 0);
    for (std::size_t tick = 0; tick < kTicks; ++tick) {
      CAPTURE(tick);
      if (static_cast<std::int64_t>(tick) + 1 + settings.history <= kTicks) CHECK(same(frames[tick], expected[tick]));
    }
  }
}

TEST_CASE(
    "A late sample of the history changes the frames from its own tick on, and only where it makes a difference") {
  SynchroniserSetup settings = setup();
  settings.history = 5;
  FrameSynchroniser synchroniser(settings, 3);
  synchroniser.accept(good(1, 4.0, 400ms));
  for (int k = 0; k < 8; ++k) synchroniser.close(k);
  synchroniser.accept(bad(1, Reason::timeout, 410ms));  // beside a good one of the same tick
  CHECK_FALSE(synchroniser.take_revision());
  synchroniser.accept(good(1, 6.0, 600ms));
  synchroniser.accept(good(0, 5.0, 500ms));
  CHECK(synchroniser.take_revision() == 5);
  CHECK_FALSE(synchroniser.take_revision());
  CHECK(synchroniser.frame(5).inputs[0].value == 5.0);
  CHECK(synchroniser.frame(5).outputs[0].value == 4.0);
  CHECK(synchroniser.frame(7).outputs[0].value == 6.0);
  CHECK(synchroniser.frame(6).outputs[0].fresh);
  CHECK(synchroniser.counters().dropped_total == 0);

  synchroniser.accept(good(1, 2.0, 200ms));  // six ticks back
  CHECK_FALSE(synchroniser.take_revision());
  CHECK(synchroniser.counters().dropped_total == 1);
  synchroniser.accept(good(0, 2.0, 200ms));  // of an input: known since then
  CHECK(synchroniser.take_revision() == 3);
  CHECK(synchroniser.frame(3).inputs[0].value == 2.0);
  CHECK(synchroniser.frame(3).inputs[0].age == 100ms);
  CHECK(synchroniser.frame(6).inputs[0].value == 5.0);

  synchroniser.settle_before(7);
  synchroniser.accept(good(1, 5.0, 500ms));
  CHECK_FALSE(synchroniser.take_revision());
  CHECK(synchroniser.counters().dropped_total == 3);
}

TEST_CASE("A mean is that of the good samples of one tick, with their number") {
  SynchroniserSetup settings = setup();
  settings.outputs[0].combine = Combine::mean;
  FrameSynchroniser synchroniser(settings, 3);
  synchroniser.accept(bad(1, Reason::timeout, -30ms));
  synchroniser.accept(good(1, 1.0, -20ms));
  synchroniser.accept(good(1, 2.0, 0ms));
  synchroniser.accept(bad(1, Reason::stuck, 5ms, 9.0));
  synchroniser.accept(good(1, 6.0, 10ms));
  const signals::FrameValue mean = synchroniser.close(0).outputs[0];
  CHECK(mean.value == 3.0);
  CHECK(mean.samples == 3);
  CHECK(mean.quality == Quality::good);
  CHECK(mean.age == base::Duration{0});
  synchroniser.accept(good(1, 7.0, 100ms));
  CHECK(synchroniser.close(1).outputs[0].samples == 1);
  CHECK(synchroniser.close(2).outputs[0].samples == 1);
}

TEST_CASE("A sample from so far ahead that it displaces a tick leaves that tick what was known before") {
  SynchroniserSetup settings = setup();
  settings.history = 3;
  FrameSynchroniser synchroniser(settings, 3);
  synchroniser.accept(good(0, 1.0, 0ms));
  synchroniser.close(0);
  synchroniser.accept(good(0, 2.0, 1300ms));  // 12 places: where tick 1 would be
  CHECK(synchroniser.close(1).inputs[0].value == 1.0);
  CHECK_FALSE(synchroniser.frame(1).inputs[0].fresh);
  synchroniser.accept(good(0, 3.0, 100ms));
  CHECK(synchroniser.close(2).inputs[0].value == 3.0);
  for (int k = 3; k < 13; ++k) CHECK(synchroniser.close(k).inputs[0].value == 3.0);
  CHECK(synchroniser.close(13).inputs[0].value == 2.0);
}
