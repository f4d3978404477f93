// What a twin takes over into an augmented state stays an alarm.
#include "faulty_tanks.hpp"
#include "output_rows.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::faulty_tanks;
using diagnosis::AnomalyEvent;
using diagnosis::AnomalyEventKind;
using diagnosis::AnomalyKind;
using model::AugmentKind;

namespace {

constexpr double kLevelNoise = 0.002;

// Two tanks whose first sensor may be biased, or on whose pump something may act; both within a minute or two.
model::StateSpace augmented_tanks(AugmentKind kind) {
  model::ModelSettings s;
  s.name = "two_tank";
  s.sample_time = 1.0;
  s.states = {{"level_1", "m", 1.5, 0.0, {}, {}}, {"level_2", "m", 1.0, 0.0, {}, {}}};
  s.inputs = {{"pump", "V", {}, {}, {}}};
  s.outputs = {{"level_1", "m", {}, kLevelNoise, {}}, {"level_2", "m", {}, kLevelNoise, {}}};
  s.A = {{0.97, 0.0}, {0.025, 0.975}};
  s.B = {{0.01}, {0.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.Q = model::Rows{{4e-7, 0.0}, {0.0, 4e-7}};
  model::AugmentSettings augment;
  augment.kind = kind;
  if (kind == AugmentKind::sensor_bias) {
    augment.output = "level_1";
    augment.noise_density = 1e-4;
    augment.initial_std = 0.05;
  } else {
    augment.input = "pump";
    augment.noise_density = 0.01;
    augment.initial_std = 1.0;
  }
  s.augment = {augment};
  REQUIRE(model::complete(s).empty());
  auto built = model::build(s, 1.0);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  return std::get<model::StateSpace>(std::move(built));
}

bool tells(const std::vector<AnomalyEvent>& events, AnomalyEventKind kind, const std::string& words) {
  return std::any_of(events.begin(), events.end(), [&](const AnomalyEvent& event) {
    return event.event == kind && event.message.find(words) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("An alarm stands for as long as its cause does though the twin takes it over into an augmented state") {
  struct Case {
    AugmentKind kind;
    Fault fault;
    const char* state;
  };
  const std::vector<Case> cases{
      {AugmentKind::sensor_bias, {FaultKind::bias, 0, 0.02, 400, 1400}, "bias_level_1"},
      {AugmentKind::sensor_bias, {FaultKind::bias, 0, -0.015, 400, 1400}, "bias_level_1"},
      {AugmentKind::input_disturbance, {FaultKind::input, 0, 1.0, 400, 1400}, "disturbance_pump"},
  };
  for (const Case& sample : cases) {
    int told = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(sample.state, sample.fault.size, seed);
      const model::StateSpace model = augmented_tanks(sample.kind);
      Bench bench(model, 1.0, 0.0, seed);
      bench.run(400, sample.fault);
      REQUIRE(bench.events().empty());
      bench.run(500, sample.fault);
      REQUIRE(bench.diagnosis().alarms().active_count() >= 1);
      // Nothing of it is to be seen in the innovations any more.
      bench.run(1000, sample.fault);
      CHECK(std::abs(bench.newest().x.back() - sample.fault.size) < 0.35 * std::abs(sample.fault.size));
      for (int end = 1000; end <= 1400; end += 20) {
        bench.run(end, sample.fault);
        REQUIRE(bench.diagnosis().alarms().active_count() >= 1);
      }
      told += tells(bench.events(), AnomalyEventKind::changed, std::string(sample.state) + " is no longer") ? 1 : 0;
      bench.run(2200, sample.fault);
      CHECK(bench.diagnosis().alarms().active_count() == 0);
    }
    CHECK(told > 15);
  }
}

TEST_CASE("An augmented state that leaves what its model holds possible is told even if nothing else shows") {
  const model::StateSpace model = augmented_tanks(AugmentKind::sensor_bias);
  const double limit = model.augmented[0].deviation_limit;
  CHECK(limit == Approx(3.0 * std::sqrt(0.05 * 0.05 + 86400.0 * 1e-8)));
  Bench bench(model, 1.0, 0.0, 7);
  const double rate = 0.005 * kLevelNoise;  // per step: no residual ever shows it
  const int end = 500 + static_cast<int>(1.2 * limit / rate);
  const Fault drift{FaultKind::drift, 0, rate, 500, end};
  int raised = 0;
  for (int k = 500; k < end; k += 100) {
    bench.run(k, drift);
    if (raised == 0 && bench.diagnosis().alarms().active_count() > 0) raised = k;
  }
  REQUIRE(test::raised_in(bench.events()) == std::set<std::string>{"tanks.bias_level_1.deviation"});
  const AnomalyEvent& event = bench.events().front();
  CHECK(event.kind == AnomalyKind::sensor);
  CHECK(event.test == "deviation");
  CHECK(event.tags == std::vector<std::string>{"plc.level_1"});
  CHECK(*event.magnitude == Approx(limit).epsilon(0.05));
  CHECK(*event.magnitude_std < 0.1 * limit);
  CHECK(event.message.find("plc.level_1 reads") != std::string::npos);
  CHECK((raised - 500) * rate > 0.9 * limit);
}

TEST_CASE("Augmented states of a healthy machine raise nothing") {
  for (const AugmentKind kind : {AugmentKind::sensor_bias, AugmentKind::input_disturbance}) {
    Bench bench(augmented_tanks(kind), 1.0, 0.1, 11);
    bench.let_wander();
    bench.run(20'000, {});
    for (const AnomalyEvent& event : bench.events()) CHECK(event.test != "deviation");
    CHECK(bench.diagnosis().alarms().active_count() == 0);
  }
}
