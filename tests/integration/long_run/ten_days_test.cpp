// Ten days of the twin thread: devices that fall silent and answer late, a wall clock that somebody keeps setting.
#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <random>

#include "app/descriptions.hpp"
#include "app/twin_loop.hpp"
#include "effort.hpp"
#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"
#include "support/samples.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;
using Eigen::VectorXd;

namespace {

constexpr base::Instant kOrigin{1000s};
constexpr std::int64_t kPatience = 10;  // steps: the least patience, at one step a second

// The Temperature Control Lab of docs/models/examples, each sensor on a device of its own.
app::Plan make_plan() {
  auto loaded = app::load_model_file(TWINKEEPER_SOURCE_DIR "/docs/models/examples/tclab.yaml", std::nullopt, {});
  auto& file = std::get<config::ModelFile>(loaded);
  file.diagnosis = {};
  file.has_diagnosis = true;
  app::Plan plan = app::plan_of_model(file, {"T", "T_2"});
  config::DeviceConfig& first = plan.config.devices[0];
  config::DeviceConfig second;
  second.driver = first.driver;
  second.driver.name = "second";
  second.driver.registers = {first.driver.registers.back()};
  second.registers = {first.registers.back()};
  first.driver.registers.pop_back();
  first.registers.pop_back();
  plan.config.devices.push_back(second);
  config::TwinConfig& twin = plan.config.twins[0];
  twin.late.lateness = 40s;
  twin.publish.state_interval = 1s;
  for (std::size_t j = 1; j < twin.inputs.size(); ++j) {  // only the first heater is measured
    twin.inputs[j].tag.reset();
    twin.inputs[j].constant = plan.models[0].u_op(static_cast<Eigen::Index>(j));
  }
  for (auto& device : plan.config.devices) {
    for (auto& reg : device.registers) reg.validation.stuck_rule = acquisition::StuckRule::off;
  }
  return plan;
}

// A device's samples on their way: in the order of their times, some a minute late, none while it is silent.
struct Line {
  struct Reading {
    signals::Sample sample;
    base::Instant arrives;
  };
  std::deque<Reading> on_the_way;
  std::int64_t silent_until = 0;  // steps
  base::Instant last_arrival;

  void read(std::int64_t step, std::vector<signals::Sample> samples, std::mt19937_64& random) {
    const auto chance = [&] { return std::uniform_real_distribution<double>()(random); };
    if (step < silent_until) return;
    if (chance() < 1.0 / 1800.0) {
      silent_until = step + static_cast<std::int64_t>(chance() < 0.2 ? 3600.0 * chance() : 90.0 * chance());
      return;
    }
    const double late = chance() < 0.02 ? 60.0 * chance() : 0.1 * chance();
    last_arrival = std::max(last_arrival, kOrigin + step * 1s + base::Duration{std::llround(late * 1e9)});
    for (signals::Sample& sample : samples) on_the_way.push_back({std::move(sample), last_arrival});
  }
};

struct Seen {
  std::int64_t steps = 0;
  std::int64_t modes[6] = {};
  double squares = 0.0;  // of (x − x̂)/std, over all states
  std::int64_t beyond_three = 0, compared = 0;
  std::vector<double> last_std;
  std::int64_t other_modes = 0;  // than documented
  std::size_t longest_message = 0;
  std::uint64_t hash = 0;
};

class Days {
 public:
  Days(std::uint64_t seed, bool step_wall_clock) : random_(seed), step_wall_clock_(step_wall_clock) {
    plant_.emplace(plan_.models[0], seed, VectorXd::Zero(plan_.models[0].n_x()));
  }

  Seen run(std::int64_t steps) {
    auto twins = std::get<std::vector<estimation::Twin>>(app::make_twins(plan_));
    app::TwinLoop loop(
        plan_, std::move(twins), {&queues_[0], &queues_[1]}, outbox_, [] {}, kOrigin, clock_);
    app::Heartbeat heart("twins", 1h, kOrigin);
    std::stop_source stop;
    clock_.on_wake([&](base::Instant now) {
      collect();  // what was computed from what had been given
      world(now);
      if (seen_.steps >= steps) stop.request_stop();
    });
    loop.run(stop.get_token(), heart);
    CHECK(loop.twin_figures(0).steps_missed_total == 0);
    CHECK(loop.twin_figures(0).steps_revised_total > 0);
    CHECK(loop.device_figures(1).samples_late_total > 0);
    return seen_;
  }

 private:
  void world(base::Instant now) {
    for (; kOrigin + step_ * 1s <= now; ++step_) {
      // The heater stays where it is: no covariance tells of an input that changes while its device is silent.
      const VectorXd y = plant_->step(VectorXd::Zero(plan_.models[0].n_u())) + plan_.models[0].y_op;
      truth_.push_back(plant_->x() + plan_.models[0].x_op);
      const base::Instant time = kOrigin + step_ * 1s;
      const auto tag = [&](std::size_t output) { return *plan_.config.twins[0].outputs[output].tag; };
      lines_[0].read(
          step_, {test::good_sample(0, plan_.models[0].u_op(0), time), test::good_sample(tag(0), y(0), time)}, random_);
      lines_[1].read(step_, {test::good_sample(tag(1), y(1), time)}, random_);
      if (step_wall_clock_ && random_() % 3000 == 0) {
        clock_.step_wall_clock(std::chrono::seconds{static_cast<std::int64_t>(random_() % 7200) - 3600});
      } else if (!step_wall_clock_) {
        if (random_() % 3000 == 0) random_();
      }
    }
    for (std::size_t l = 0; l < 2; ++l) {
      auto& waiting = lines_[l].on_the_way;
      for (; !waiting.empty() && waiting.front().arrives <= now; waiting.pop_front()) {
        const signals::Sample& sample = waiting.front().sample;
        if (sample.tag != 0) delivered_[l] = (sample.time - kOrigin) / 1s;
        REQUIRE(queues_[l].try_push(std::move(waiting.front().sample)));
      }
    }
  }

  void collect() {
    while (auto* record = outbox_.steps[0]->try_receive()) {
      look_at(record->step);
      encoder_.encode(record->step, record->anomalies, message_);
      look_at(message_.members);
      outbox_.steps[0]->recycle(record);
    }
    diagnosis::AnomalyEvent event;
    while (outbox_.anomalies.try_pop(event)) {
    }
  }

  void look_at(const estimation::TwinStep& step) {
    using estimation::Mode;
    REQUIRE(step.step == seen_.steps);
    ++seen_.steps;
    ++seen_.modes[static_cast<std::size_t>(step.mode)];
    const VectorXd truth = truth_.front();
    truth_.pop_front();
    bool finite = true;
    for (const double value : step.x) finite = finite && std::isfinite(value);
    for (const double value : step.std) finite = finite && std::isfinite(value) && value > 0.0;
    for (const auto& output : step.outputs) finite = finite && std::isfinite(output.expected) && output.std > 0.0;
    if (step.mode == Mode::initializing) return;
    REQUIRE(finite);
    // What the twin had been given by then, late or not, decides.
    const bool starved[2] = {step.step - delivered_[0] > kPatience, step.step - delivered_[1] > kPatience};
    const bool as_documented = step.mode == Mode::lost    ? starved[0] && starved[1]
                               : starved[0] && starved[1] ? step.mode == Mode::predict_only
                               : starved[0] || starved[1]
                                   ? step.mode == Mode::degraded
                                   : step.mode == Mode::tracking || step.mode == Mode::converging;
    seen_.other_modes += as_documented ? 0 : 1;
    const bool nothing_new = delivered_[0] == delivered_before_[0] && delivered_[1] == delivered_before_[1];
    if (nothing_new && seen_.last_std.size() == step.std.size()) {
      for (std::size_t i = 0; i < step.std.size(); ++i) CHECK(step.std[i] >= seen_.last_std[i] * (1.0 - 1e-9));
    }
    std::copy(std::begin(delivered_), std::end(delivered_), std::begin(delivered_before_));
    seen_.last_std = step.std;
    for (std::size_t i = 0; i < step.x.size(); ++i) {
      const double z = (step.x[i] - truth(static_cast<Eigen::Index>(i))) / step.std[i];
      seen_.squares += z * z;
      seen_.beyond_three += std::abs(z) > 3.0 ? 1 : 0;
      ++seen_.compared;
    }
    for (const double value : step.x) {
      seen_.hash = seen_.hash * 1099511628211U + std::bit_cast<std::uint64_t>(value);
    }
  }

  void look_at(const std::string& text) {
    seen_.longest_message = std::max(seen_.longest_message, text.size());
    for (const char* word : {"nan", "NaN", "inf", "Inf"}) REQUIRE(text.find(word) == std::string::npos);
  }

  app::Plan plan_ = make_plan();
  support::FakeClock clock_{kOrigin - 50ms};
  app::SampleQueue queues_[2] = {app::SampleQueue{4096}, app::SampleQueue{4096}};
  app::Outbox outbox_{plan_};
  telemetry::StateEncoder encoder_{app::describe_twin(plan_, 0), 7, telemetry::StateLayout::nested};
  signals::Message message_;
  std::mt19937_64 random_;
  const bool step_wall_clock_;
  std::optional<estimation::Plant> plant_;
  std::deque<VectorXd> truth_;  // of the steps that have not been published yet
  std::int64_t step_ = 0;
  Line lines_[2];
  std::int64_t delivered_[2] = {-100, -100}, delivered_before_[2] = {0, 0};  // per output: step of the newest sample
  Seen seen_;
};

}  // namespace

TEST_CASE("Over ten days of dropouts, late samples and clock steps modes and covariance are what they should be") {
  const std::int64_t steps = 864'000 / test::kEffort;
  const Seen seen = Days(3, true).run(steps);
  using estimation::Mode;
  const auto count = [&](Mode mode) { return seen.modes[static_cast<std::size_t>(mode)]; };
  CHECK(seen.steps >= steps);
  CHECK(count(Mode::tracking) > steps / 4);
  CHECK(count(Mode::degraded) > steps / 200);
  CHECK(count(Mode::predict_only) > steps / 2000);
  CHECK(seen.other_modes <= 2);  // a good sample in a million is rejected by its gate
  CHECK(seen.longest_message < 4096);
  // Published states are honest, whatever was missing when they were published.
  const double mean_square = seen.squares / static_cast<double>(seen.compared);
  INFO("over three: " << seen.beyond_three << " of " << seen.compared);
  CHECK(mean_square == Approx(1.0).margin(test::kEffort == 1 ? 0.05 : 0.15));
  CHECK(static_cast<double>(seen.beyond_three) / static_cast<double>(seen.compared) < 0.005);
}

TEST_CASE("A wall clock that is set again and again leaves no trace in the twin") {
  const std::int64_t steps = 86'400 / test::kEffort;
  const Seen moved = Days(4, true).run(steps);
  const Seen left_alone = Days(4, false).run(steps);
  CHECK(moved.hash == left_alone.hash);
}
