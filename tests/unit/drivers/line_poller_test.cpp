#include "drivers/line_poller.hpp"

#include "line_poller_bench.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::test;
using drivers::DeviceError;
using drivers::DeviceState;
using signals::Quality;
using signals::Reason;

}  // namespace

TEST_CASE("an instrument is asked on the grid and the sample is taken between request and last byte") {
  LineBench bench;
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line("S S   12.50 kg"), 20ms); };
  bench.run_for(3s);
  REQUIRE(bench.instrument->sent.size() == 3);
  REQUIRE(bench.samples.samples.size() == 3);
  for (int k = 0; k < 3; ++k) {
    CHECK(bench.instrument->sent[k].first == base::Instant{10s + k * 1s});
    CHECK(bench.instrument->sent[k].second == "SI\r\n");
    const auto& sample = bench.samples.samples[k];
    CHECK(sample.quality == Quality::good);
    CHECK(sample.value == 12.5);
    CHECK(sample.time == base::Instant{10s + k * 1s + 17500us});  // 16 bytes, the last 15 ms after the first
  }
  CHECK(bench.statistics().state == DeviceState::up);
  CHECK(bench.statistics().requests_total == 3);
  CHECK(bench.statistics().last_round_trip_ns == 35'000'000);
  CHECK(bench.events.events.empty());
  CHECK(bench.poller->descriptor() == -1);
}

TEST_CASE("a request sent back by an echo and lines of no value do not hide the answer") {
  LineBench bench;
  bench.instrument->answer = [&] {
    bench.instrument->arrive("SI\r\n", 5ms);
    bench.instrument->arrive("hello\r\n\r\n", 30ms);
    bench.instrument->arrive(bench.line("S S   12.50 kg"), 60ms);
  };
  bench.run_for(1s);
  REQUIRE(bench.samples.samples.size() == 1);
  CHECK(bench.samples.samples[0].value == 12.5);
  CHECK(bench.statistics().state == DeviceState::up);
}

TEST_CASE("an instrument that answers without a value is alive and asked again in the next cycle") {
  LineBench bench;
  std::string answer = "S D   12.50 kg";
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line(answer), 20ms); };
  bench.run_for(3s);
  REQUIRE(bench.samples.samples.size() == 3);
  for (const auto& sample : bench.samples.take()) CHECK(sample.reason == Reason::no_match);
  CHECK(bench.instrument->sent.size() == 3);
  CHECK(bench.statistics().state == DeviceState::degraded);
  CHECK(bench.statistics().last_failure.get() == "a line that does not match the pattern: \"S D   12.50 kg\"");
  answer = "S S   12.50 kg";
  bench.run_for(1s);
  CHECK(bench.samples.samples[0].value == 12.5);
  CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "restored"});
}

TEST_CASE("a register whose group is no number or took no part is bad alone") {
  auto settings = scale_settings();
  settings.registers.push_back(settings.registers[0]);
  settings.registers[1].name = settings.registers[1].group = "count";
  settings.registers[1].tag = 1;
  settings.registers[1].type = drivers::ValueType::UINT16;
  LineBench bench(settings);
  std::string answer;
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line(answer), 20ms); };
  const auto qualities = [&](const std::string& text) {
    answer = text;
    bench.run_for(1s);
    std::string out;
    for (const auto& sample : bench.samples.take()) {
      out += sample.quality == Quality::good ? "good " : std::string{to_string(sample.reason)} + " ";
    }
    return out;
  };
  CHECK(qualities("S S   12.50 kg n=7") == "good good ");
  CHECK(qualities("S S   12.50 kg") == "good no_match ");
  CHECK(qualities("S S   1.2.3 kg n=7") == "no_match good ");
  CHECK(qualities("S S   12.50 kg n=-7") == "good no_match ");
  CHECK(bench.statistics().state == DeviceState::degraded);
  CHECK(bench.statistics().failures(DeviceError::mismatch) == 3);
}

TEST_CASE("silence is bad at the time-out and starts the back-off at the second") {
  LineBench bench;
  bench.run_for(60s);
  const auto& samples = bench.samples.samples;
  CHECK(samples.size() >= 60);
  for (const auto& sample : samples) CHECK(sample.reason == Reason::timeout);
  CHECK(samples[0].time == base::Instant{10s + 200ms});
  CHECK(samples[1].time == base::Instant{11s + 200ms});
  CHECK(bench.instrument->sent.size() < 12);
  CHECK(bench.statistics().state == DeviceState::down);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost"});
  bench.samples.take();
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line("S S   12.50 kg"), 20ms); };
  bench.run_for(11s);
  CHECK(bench.samples.samples.back().value == 12.5);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
  CHECK(bench.instrument->connects == 1);
}

TEST_CASE("a late line is never the answer to a newer request") {
  // Late by 0.5 to 3 time-outs more than allowed, at a poll interval shorter than that.
  for (const bool tcp : {false, true}) {
    for (auto late = 300ms; late <= 790ms; late += 7ms) {
      auto settings = scale_settings();
      settings.poll_interval = 250ms;
      LineBench bench(settings, tcp);
      int asked = 0;
      bench.instrument->answer = [&] {
        ++asked;
        bench.instrument->arrive(bench.line("S S   " + std::to_string(asked) + " kg"), asked == 1 ? late : 120ms);
      };
      bench.run_for(2s);
      int good = 0;
      for (const auto& sample : bench.samples.samples) {
        if (sample.quality != Quality::good) continue;
        ++good;
        INFO("late " << late.count() << " ms");
        CHECK(sample.value >= 2);
        const auto& request = bench.instrument->sent[static_cast<std::size_t>(sample.value) - 1];
        CHECK(sample.time > request.first);
        CHECK(sample.time < request.first + 100ms);
      }
      CHECK(good >= 3);
    }
  }
}

TEST_CASE("the end of a line that was under way is no answer") {
  LineBench bench;
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line("S S   12.50 kg"), 20ms); };
  bench.run_for(1s);
  bench.instrument->arrive("S S   99999S S  3.00 kg\r\n", -8ms);  // unasked, just before the next request
  bench.run_for(1s);
  REQUIRE(bench.samples.samples.size() == 2);
  CHECK(bench.samples.samples[1].value == 12.5);
  CHECK(bench.instrument->sent[1].first > base::Instant{11s + 15ms});
}

TEST_CASE("an instrument that never falls silent is not asked") {
  LineBench bench;
  bench.run_for(0s);
  bench.instrument->arrive(std::string(5000, 'x'), 900ms, 1ms);
  bench.instrument->answer = [] {};
  bench.run_for(1900ms);
  CHECK(bench.instrument->sent.size() == 1);
  CHECK(bench.samples.samples.back().reason == Reason::no_match);
  CHECK(bench.statistics().last_failure.get() == "it speaks without end and without being asked");
}

TEST_CASE("an unplugged line is opened again and what is asked then is answered") {
  LineBench bench;
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line("S S   12.50 kg"), 20ms); };
  bench.run_for(1s);
  bench.instrument->there = false;
  bench.run_for(5s);
  CHECK(bench.statistics().state == DeviceState::down);
  CHECK(bench.samples.samples.back().reason == Reason::timeout);
  CHECK_FALSE(bench.statistics().connected);
  bench.instrument->there = true;
  bench.run_for(11s);
  CHECK(bench.samples.samples.back().value == 12.5);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
  CHECK(bench.statistics().reconnects_total == 1);
  CHECK(bench.statistics().failures(DeviceError::unavailable) >= 3);
}

TEST_CASE("a cycle whose time passed is skipped and counted") {
  auto settings = scale_settings();
  settings.poll_interval = 100ms;
  LineBench bench(settings);
  bench.instrument->answer = [&] { bench.instrument->arrive(bench.line("S S   12.50 kg"), 150ms); };
  bench.run_for(2s);
  CHECK(bench.instrument->sent.size() == 10);
  CHECK(bench.statistics().missed_cycles_total == 10);
  for (const auto& sample : bench.samples.samples) CHECK(sample.quality == Quality::good);
}

TEST_CASE("no wait takes longer than the longest block that is told") {
  auto settings = scale_settings();
  settings.workarounds.pause_after_connect = 300ms;
  settings.workarounds.pause_between_requests = 50ms;
  LineBench bench(settings);
  bench.instrument->there = false;
  const base::Duration longest = longest_wait(bench, *bench.instrument, 200);
  CHECK(longest <= bench.poller->longest_block());
  CHECK(longest > 300ms);
}

TEST_CASE("every line of a free running instrument gives a sample in the middle of the line") {
  LineBench bench(scale_settings(""));
  bench.run_for(5ms);
  CHECK(bench.poller->descriptor() >= 0);
  bench.instrument->arrive(".99 kg\r\n", 0ms);  // the end of one that began before
  for (int k = 0; k < 50; ++k)
    bench.instrument->arrive(bench.line("S S   12.5" + std::to_string(k % 10) + " kg"), 100ms + k * 20ms);
  bench.run_for(2s);
  const auto samples = bench.samples.take();
  REQUIRE(samples.size() == 50);
  for (int k = 0; k < 50; ++k) {
    CHECK(samples[k].quality == Quality::good);
    CHECK(samples[k].value == Approx(12.5 + 0.01 * (k % 10)));
    // 16 characters of a millisecond, the last of them there after 15 in this fake.
    CHECK(samples[k].time == base::Instant{10s + 5ms + 100ms + k * 20ms + 15ms - 8ms});
  }
  CHECK(bench.statistics().state == DeviceState::up);
  CHECK(bench.statistics().requests_total == 50);
  CHECK(bench.events.events.empty());
}

TEST_CASE("lines that come in one piece are parted by the time that they take") {
  LineBench bench(scale_settings(""));
  bench.run_for(5ms);
  bench.instrument->arrive("\r\n" + bench.line("S S   1.00 kg") + bench.line("S S   2.00 kg"), 100ms, 0ms);
  bench.run_for(500ms);
  const auto samples = bench.samples.take();
  REQUIRE(samples.size() == 2);
  CHECK(samples[1].time - samples[0].time == 15ms);
  CHECK(samples[1].time == base::Instant{10s + 105ms} - 7500us);
}

TEST_CASE("a free running instrument that falls silent is bad once per poll interval") {
  auto settings = scale_settings("");
  settings.poll_interval = 300ms;
  settings.timeout = 1s;
  LineBench bench(settings);
  bench.run_for(5ms);
  bench.instrument->arrive("\r\n" + bench.line("S S   1.00 kg"), 100ms);
  bench.run_for(1s);
  CHECK(bench.samples.take().size() == 1);
  bench.run_until(base::Instant{20s});
  const auto samples = bench.samples.take();
  // Silent since 117 ms; the first cycle at which that is a second is the one at 1.2 s.
  REQUIRE(samples.size() == 30);
  for (std::size_t k = 0; k < samples.size(); ++k) {
    CHECK(samples[k].reason == Reason::timeout);
    CHECK(samples[k].time == base::Instant{10s + 1200ms + k * 300ms});
  }
  CHECK(bench.statistics().state == DeviceState::down);
  CHECK(bench.instrument->connects == 1);
  bench.instrument->arrive(bench.line("S S   1.00 kg"), 100ms);
  bench.run_for(1s);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
}

TEST_CASE("a free running instrument over TCP that falls silent is reached by a new connection") {
  LineBench bench(scale_settings(""), true);
  bench.run_for(5ms);
  bench.instrument->arrive("\r\n" + bench.line("S S   1.00 kg"), 100ms);
  bench.run_for(60s);
  CHECK(bench.instrument->connects == 5);  // the first, then one each time after 10 s of silence
  CHECK(bench.statistics().state == DeviceState::down);
  for (const auto& sample : bench.samples.take())
    CHECK(sample.quality == (sample.value == 1.0 ? Quality::good : Quality::bad));
  for (int k = 0; k < 40; ++k) bench.instrument->arrive(bench.line("S S   2.00 kg"), k * 600ms);
  bench.run_for(24s);
  CHECK(bench.statistics().state == DeviceState::up);
}

TEST_CASE("a free running instrument that is unplugged is opened again") {
  LineBench bench(scale_settings(""));
  bench.run_for(5ms);
  bench.instrument->arrive("\r\n" + bench.line("S S   1.00 kg"), 100ms);
  bench.run_for(500ms);
  bench.instrument->there = false;
  bench.instrument->arrive("x", 0ms);  // makes the descriptor ready
  bench.run_for(3s);
  CHECK(bench.statistics().state == DeviceState::down);
  CHECK(bench.poller->descriptor() == -1);
  bench.instrument->there = true;
  bench.run_for(10s);
  bench.instrument->arrive("kg\r\n" + bench.line("S S   2.00 kg"), 100ms);
  bench.run_for(1s);
  CHECK(bench.samples.samples.back().value == 2.0);
  CHECK(bench.statistics().state == DeviceState::up);
}

TEST_CASE("lines of no value of a free running instrument are bad and judged once per cycle") {
  LineBench bench(scale_settings(""));
  bench.run_for(5ms);
  bench.instrument->arrive("\r\n", 50ms);
  for (int k = 0; k < 60; ++k) {
    bench.instrument->arrive(bench.line(k % 2 == 0 && k < 40 ? "S D   1.00 kg" : "S S   1.00 kg"), 100ms + k * 50ms);
  }
  bench.run_for(4s);
  int bad = 0;
  for (const auto& sample : bench.samples.samples) bad += sample.reason == Reason::no_match ? 1 : 0;
  CHECK(bad == 20);
  CHECK(bench.samples.samples.size() == 60);
  CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "restored"});
}
