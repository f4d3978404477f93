// What the alarms of a twin say of their cause, and what becomes of the sensor.
#include <algorithm>

#include "faulty_tanks.hpp"

using namespace twinkeeper;
using namespace twinkeeper::faulty_tanks;
using diagnosis::AnomalyEvent;
using diagnosis::AnomalyEventKind;
using diagnosis::AnomalyKind;

namespace {

// With so little process noise that the twin takes minutes to take a bias over.
model::StateSpace calm_tanks() {
  model::StateSpace model = tank_model();
  model.Q *= 1.0 / 16.0;
  return model;
}

const AnomalyEvent* first_raised(const Bench& bench) {
  for (const AnomalyEvent& event : bench.events()) {
    if (event.event == AnomalyEventKind::raised) return &event;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("A biased sensor is named with its size and not fused until it agrees again") {
  Bench bench(calm_tanks(), 1.0, 0.1, 21);
  bench.run(300, {});
  REQUIRE(bench.events().empty());
  const Fault bias{FaultKind::bias, 1, 0.008, 300, 900};  // 4 σ: the gate lets it pass
  bench.run(360, bias);
  const AnomalyEvent* raised = first_raised(bench);
  REQUIRE(raised != nullptr);
  CHECK(raised->id == "tanks.level_2.cusum");
  CHECK(raised->kind == AnomalyKind::sensor);
  CHECK(raised->test == "glr");
  CHECK(raised->tags.front() == "plc.level_2");
  REQUIRE_FALSE(raised->hypotheses.empty());
  CHECK(raised->hypotheses.front().name == "sensor:plc.level_2");
  CHECK(raised->hypotheses.front().probability > 0.9);
  REQUIRE(raised->magnitude_std.has_value());
  CHECK(std::abs(*raised->magnitude - 0.008) < 3.5 * *raised->magnitude_std);
  CHECK(raised->magnitude_unit == "m");
  CHECK(std::abs((raised->onset - base::Instant{} - 300 * kTankPeriod).count()) <= 2'000'000'000);
  CHECK(raised->message.find("plc.level_2 reads 0.0") == 0);
  CHECK(raised->message.find(" too high") != std::string::npos);

  CHECK(bench.left_out() == std::size_t{1});
  bench.run(700, bias);
  CHECK_FALSE(bench.newest().outputs[1].fused);
  CHECK(bench.newest().outputs[0].quality == signals::Quality::good);
  CHECK(bench.newest().mode == estimation::Mode::degraded);
  CHECK(std::abs(bench.newest().x[1] - bench.true_level(1)) < 4.0 * bench.newest().std[1]);
  CHECK(bench.diagnosis().alarms().active_ids() == std::vector<std::string>{"tanks.level_2.cusum"});

  bench.run(1100, bias);
  CHECK(bench.diagnosis().alarms().active_count() == 0);
  CHECK_FALSE(bench.left_out().has_value());
  CHECK(bench.newest().mode == estimation::Mode::tracking);
}

TEST_CASE("What the twin has taken over of a bias is gone from its state at the step that leaves the sensor out") {
  double before = 0.0, after = 0.0;
  int found = 0;
  for (unsigned run = 0; run < 20; ++run) {
    Bench bench(calm_tanks(), 1.0, 0.1, 300 + run);
    const Fault bias{FaultKind::bias, 0, 0.008, 300};
    const auto error = [&] { return std::abs(bench.newest().x[0] - bench.true_level(0)) / bench.newest().std[0]; };
    int k = 300;
    bench.run(k, {});
    double last = 0.0;
    while (!bench.left_out() && k < 360) {
      last = error();
      bench.run(++k, bias);
    }
    if (bench.left_out() != std::size_t{0}) continue;
    ++found;
    before += last;
    bench.run(++k, bias);
    after += error();
  }
  INFO("found " << found << ", errors in standard deviations " << before / found << " before, " << after / found
                << " after");
  REQUIRE(found >= 15);
  CHECK(before / found > 2.0);
  CHECK(after / found < 1.3);  // 0.8 of a normal number
}

TEST_CASE("An alarm tells once more what its cause is when more is known, not more than once a minute") {
  Bench bench(calm_tanks(), 1.0, 0.1, 24);
  const Fault drift{FaultKind::drift, 1, 0.0001, 300};
  bench.run(620, drift);
  const AnomalyEvent* raised = first_raised(bench);
  REQUIRE(raised != nullptr);
  REQUIRE(raised->magnitude_std.has_value());
  const AnomalyEvent* last = raised;
  int changes = 0;
  for (const AnomalyEvent& event : bench.events()) {
    if (event.event != AnomalyEventKind::changed || event.id != raised->id) continue;
    CHECK(event.time - last->time >= 60s);
    CHECK(event.occurrence == raised->occurrence);
    last = &event;
    ++changes;
  }
  CHECK(changes >= 1);
  CHECK(*last->magnitude_std < 0.7 * *raised->magnitude_std);
  CHECK(std::abs(*last->magnitude - 0.0001) < 3.5 * *last->magnitude_std);
  CHECK(last->hypotheses.front().name == "drift:plc.level_2");
  CHECK(last->message.find("plc.level_2 drifts upwards by ") == 0);
}

TEST_CASE("A jump beyond the gate carries size and onset from all its rows, not from one") {
  Bench bench(calm_tanks(), 1.0, 0.0, 22);
  bench.run(320, {FaultKind::bias, 0, -0.06, 300});
  const AnomalyEvent* raised = first_raised(bench);
  REQUIRE(raised != nullptr);
  CHECK(raised->id == "tanks.level_1.gate");
  CHECK(raised->kind == AnomalyKind::sensor);
  REQUIRE(raised->magnitude_std.has_value());
  CHECK(*raised->magnitude_std < 0.0015);
  CHECK(std::abs(*raised->magnitude + 0.06) < 3.5 * *raised->magnitude_std);
  CHECK(raised->onset == base::Instant{} + 300 * kTankPeriod);
  CHECK(bench.left_out() == std::size_t{0});
}

TEST_CASE("A leak is of the process, with what looks the same beside it, and every sensor stays fused") {
  Bench bench(calm_tanks(), 1.0, 0.1, 23);
  bench.run(360, {FaultKind::disturbance, 0, -0.0003, 300});
  const AnomalyEvent* raised = first_raised(bench);
  REQUIRE(raised != nullptr);
  CHECK(raised->kind == AnomalyKind::process);
  CHECK(raised->test == "cusum");
  const auto names = [&](const std::string& name) {
    return std::any_of(raised->hypotheses.begin(), raised->hypotheses.begin() + 2,
                       [&](const diagnosis::Hypothesis& one) { return one.name == name; });
  };
  REQUIRE(raised->hypotheses.size() >= 2);
  CHECK(names("input:plc.pump"));
  CHECK(names("process:level_1"));
  CHECK_FALSE(raised->ambiguous_with.empty());
  CHECK(raised->message.find("It may also be ") != std::string::npos);
  CHECK_FALSE(bench.left_out().has_value());
}
