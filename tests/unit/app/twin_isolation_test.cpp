// Twins on one thread: what one of them goes through must not reach another. Each case runs the same healthy twin alone
// and beside a sick one, and compares every bit of it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>

#include "app/twin_loop.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"
#include "support/samples.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kIsolationOrigin{1000s};
constexpr base::Duration kPoll = 100ms;
constexpr signals::TagIndex kHealthyTag = 1;  // the sick one's device and twin come first in every order

config::DeviceConfig device(const std::string& name) {
  config::DeviceConfig device;
  device.driver.name = name;
  device.driver.poll_interval = kPoll;
  device.driver.timeout = 50ms;
  drivers::RegisterSettings reg;
  reg.name = "level";
  reg.type = drivers::ValueType::FLOAT64;
  reg.poll_interval = kPoll;
  device.driver.registers.push_back(reg);
  config::RegisterOptions options;
  options.validation.max_age = 3 * kPoll;
  options.validation.stuck_rule = acquisition::StuckRule::off;
  device.registers.push_back(options);
  return device;
}

// One state that its one output measures: x(k+1) = a x(k) + w.
void add_twin(app::Plan& plan, const std::string& name, double a, base::Duration period, signals::TagIndex tag,
              bool gated) {
  const double seconds = std::chrono::duration<double>(period).count();
  config::TwinConfig twin;
  twin.name = name;
  twin.period = period;
  twin.model.name = name;
  twin.model.sample_time = seconds;
  twin.model.states = {{"level", "m", 0.0, 1.0, -10.0, 10.0}};
  twin.model.outputs = {{"level", "m", {}, {}, {}}};
  twin.model.A = {{a}};
  twin.model.C = {{1.0}};
  twin.model.noise.Q = model::Rows{{0.01}};
  twin.model.noise.R = model::Rows{{1.0}};
  twin.outputs = {{tag}};
  twin.publish.state_interval = period;
  if (!gated) twin.diagnosis.gate.reset();
  plan.config.twins.push_back(twin);
  auto built = model::build(twin.model, seconds);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  plan.models.push_back(std::get<model::StateSpace>(std::move(built)));
}

// Moves on when someone sleeps and, if looking at it costs time, also then: a machine that is too slow for its work.
class CostlyClock final : public base::Clock {
 public:
  CostlyClock(support::FakeClock& world, base::Duration cost, std::function<void(base::Instant)> act)
      : world_(world), cost_(cost), act_(std::move(act)) {}
  [[nodiscard]] base::Instant now() const override {
    world_.advance(cost_);
    if (cost_ > 0ns) act_(world_.now());
    return world_.now();
  }
  [[nodiscard]] base::WallTime wall_now() const override { return world_.wall_now(); }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override {
    world_.sleep_until(deadline);
    act_(world_.now());
  }

 private:
  support::FakeClock& world_;
  base::Duration cost_;
  std::function<void(base::Instant)> act_;
};

struct Sick {
  double a = 1.0;
  base::Duration period = kPoll;
  bool gated = true;
  std::function<std::optional<double>(int poll)> value = [](int) { return 1.0; };
  base::Duration cost{};  // of looking at the clock
};

struct Outcome {
  std::vector<estimation::TwinStep> healthy, sick;
  std::vector<diagnosis::AnomalyEvent> of_healthy;
  std::uint64_t healthy_missed = 0, sick_missed = 0, dropped = 0;
  base::Duration latest{};  // from the deadline of a healthy step until it was there
};

Outcome run(const std::optional<Sick>& sick) {
  app::Plan plan;
  plan.config.devices = {device("sick_plc"), device("plc")};
  if (sick) add_twin(plan, "sick", sick->a, sick->period, 0, sick->gated);
  const std::size_t healthy = plan.config.twins.size();
  add_twin(plan, "healthy", 0.99, kPoll, kHealthyTag, true);

  auto twins = app::make_twins(plan);
  REQUIRE(std::holds_alternative<std::vector<estimation::Twin>>(twins));
  app::SampleQueue sick_samples(4096), samples(4096);
  app::Outbox outbox(plan);
  Outcome outcome;
  std::stop_source stop;
  const auto send = [](app::SampleQueue& queue, signals::TagIndex tag, double value, base::Instant time) {
    queue.try_push(test::good_sample(tag, value, time));
  };
  int polls = 0;
  const auto act = [&](base::Instant now) {
    for (; kIsolationOrigin + polls * kPoll + 3ms <= now; ++polls) {
      const base::Instant time = kIsolationOrigin + polls * kPoll + 3ms;
      const auto value = sick ? sick->value(polls) : std::nullopt;
      if (value) send(sick_samples, 0, *value, time);
      // A jump in between, so that gate, CUSUM and alarms of the healthy twin have work, too.
      const double jump = polls >= 100 && polls < 140 ? 8.0 : 0.0;
      if (polls % 11 != 7) send(samples, kHealthyTag, 0.3 * std::sin(0.1 * polls) + jump, time);
    }
    const auto collect = [&](std::size_t twin, std::vector<estimation::TwinStep>& steps) {
      while (auto* record = outbox.steps[twin]->try_receive()) {
        steps.push_back(record->step);
        if (twin == healthy) outcome.latest = std::max(outcome.latest, now - (record->step.time + kPoll / 2));
        outbox.steps[twin]->recycle(record);
      }
    };
    if (sick) collect(0, outcome.sick);
    collect(healthy, outcome.healthy);
    diagnosis::AnomalyEvent event;
    while (outbox.anomalies.try_pop(event)) {
      if (event.owner == "healthy") outcome.of_healthy.push_back(event);
    }
    if (outcome.healthy.size() >= 300) stop.request_stop();
  };
  support::FakeClock world(kIsolationOrigin - 50ms);
  const CostlyClock clock(world, sick ? sick->cost : 0ns, act);
  app::TwinLoop loop(
      plan, std::get<0>(std::move(twins)), {&sick_samples, &samples}, outbox, [] {}, kIsolationOrigin, clock);
  app::Heartbeat heart("twins", 1h, kIsolationOrigin);
  loop.run(stop.get_token(), heart);
  outcome.healthy_missed = loop.twin_figures(healthy).steps_missed_total;
  if (sick) outcome.sick_missed = loop.twin_figures(0).steps_missed_total;
  outcome.dropped = outbox.steps[healthy]->dropped();
  return outcome;
}

bool same_event_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

void check_same(const Outcome& outcome, const Outcome& alone) {
  CHECK(outcome.dropped == 0);
  REQUIRE(alone.healthy.size() >= 300);
  REQUIRE(outcome.healthy.size() >= 300);
  for (std::size_t k = 0; k < 300; ++k) {
    const auto& step = outcome.healthy[k];
    const auto& expected = alone.healthy[k];
    const auto& row = step.outputs[0];
    const auto& expected_row = expected.outputs[0];
    INFO("step " << k);
    REQUIRE(step.step == expected.step);
    REQUIRE(step.mode == expected.mode);
    REQUIRE(same_event_bits(step.x[0], expected.x[0]));
    REQUIRE(same_event_bits(step.std[0], expected.std[0]));
    REQUIRE(same_event_bits(step.nis, expected.nis));
    REQUIRE(same_event_bits(row.innovation, expected_row.innovation));
    REQUIRE(same_event_bits(row.std, expected_row.std));
    REQUIRE(row.fused == expected_row.fused);
    REQUIRE(row.quality == expected_row.quality);
  }
  REQUIRE(outcome.of_healthy.size() == alone.of_healthy.size());
  for (std::size_t i = 0; i < alone.of_healthy.size(); ++i) {
    CHECK(outcome.of_healthy[i].id == alone.of_healthy[i].id);
    CHECK(outcome.of_healthy[i].event == alone.of_healthy[i].event);
    CHECK(outcome.of_healthy[i].time == alone.of_healthy[i].time);
    CHECK(outcome.of_healthy[i].statistic == alone.of_healthy[i].statistic);
  }
}

std::size_t count_of(const std::vector<estimation::TwinStep>& steps, estimation::Mode mode) {
  return static_cast<std::size_t>(
      std::count_if(steps.begin(), steps.end(), [&](const auto& step) { return step.mode == mode; }));
}

}  // namespace

TEST_CASE("TwinLoop gives a twin the same bits beside one whose model blows up") {
  const Outcome alone = run(std::nullopt);
  CHECK_FALSE(alone.of_healthy.empty());
  Sick unstable;
  unstable.a = 3.0;  // trebles every 100 ms; only measurements hold it, and they stop
  unstable.value = [](int poll) { return poll < 50 ? std::optional(0.1) : std::nullopt; };
  const Outcome outcome = run(unstable);
  CHECK(count_of(outcome.sick, estimation::Mode::lost) > 10);
  check_same(outcome, alone);
}

TEST_CASE("TwinLoop gives a twin the same bits beside one that is fed nonsense") {
  const Outcome alone = run(std::nullopt);
  Sick fed;
  fed.gated = false;
  fed.value = [](int poll) -> std::optional<double> {
    constexpr double kHuge = std::numeric_limits<double>::max();
    const double values[] = {
        1.0,    kHuge, -kHuge, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        5e-324, -0.0};
    return poll < 150 ? values[poll % 7] : 1.0;
  };
  const Outcome outcome = run(fed);
  CHECK(count_of(outcome.sick, estimation::Mode::lost) > 0);
  CHECK(count_of(outcome.sick, estimation::Mode::initializing) > 100);  // anew, again and again
  CHECK(outcome.sick.back().mode == estimation::Mode::tracking);        // once it ends
  for (const auto& step : outcome.sick)
    REQUIRE((std::isfinite(step.x[0]) || step.mode == estimation::Mode::initializing));
  check_same(outcome, alone);
}

// The thread is one, so its lack of time is everybody's: the other is late, by as much as the slow one may fall behind
// until its steps are given up. It is not wrong, and misses nothing.
TEST_CASE("TwinLoop gives a twin the same bits beside one that overruns its period for good") {
  const Outcome alone = run(std::nullopt);
  CHECK(alone.healthy_missed == 0);
  Sick slow;
  slow.period = 1ms;
  slow.cost = 600us;  // three looks at the clock a step
  const Outcome outcome = run(slow);
  CHECK(outcome.sick_missed > 1000);
  CHECK(outcome.latest < 1200ms);
  check_same(outcome, alone);
}
