// The tests of a twin's residuals beside the CUSUM pair: slow drift, noise, all outputs together; and the limits of
// calibrated regimes.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "output_rows.hpp"
#include "support/catch.hpp"
#include "twinkeeper/base/archive.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;

namespace {

// Two outputs at one step per second, each N(bias, spread²), correlated by `correlation`.
class Residuals {
 public:
  explicit Residuals(DiagnosisSettings settings = {}, std::vector<std::string> regimes = {})
      : diagnosis_({"t", {}, {{"a", "m", "plc.a"}, {"b", "m", "plc.b"}}, std::move(settings), 1s, std::move(regimes)}),
        step_(0, 0, 2) {
    step_.mode = estimation::Mode::tracking;
  }

  void run(int steps) {
    for (int k = 0; k < steps; ++k) {
      step_.time += 1s;
      ++step_.step;
      const double first = noise_(random_);
      const double second = correlation * first + std::sqrt(1.0 - correlation * correlation) * noise_(random_);
      const double z[] = {bias_a + spread_a * first, bias_b + spread_b * second};
      step_.nis = z[0] * z[0] + z[1] * z[1];
      step_.nis_dof = 2;
      for (std::size_t i = 0; i < 2; ++i) test::measure(step_.outputs[i], 1.0, 0.1, z[i]);
      diagnosis_.evaluate(step_, out);
    }
  }
  [[nodiscard]] std::set<std::string> raised() const { return test::raised_in(out); }

  double bias_a = 0.0, bias_b = 0.0, spread_a = 1.0, spread_b = 1.0, correlation = 0.0;
  std::vector<AnomalyEvent> out;
  TwinDiagnosis& diagnosis() { return diagnosis_; }
  estimation::TwinStep& step() { return step_; }

 private:
  TwinDiagnosis diagnosis_;
  estimation::TwinStep step_;
  std::mt19937_64 random_{5};
  std::normal_distribution<double> noise_;
};

using RaisedIds = std::set<std::string>;

Calibration calibration_of(const std::vector<RegimeCalibration>& regimes) {
  Calibration calibration;
  calibration.period = 1s;
  calibration.regimes = regimes;
  return calibration;
}

}  // namespace

TEST_CASE("A matched model raises nothing in a day of one step per second, all tests on") {
  Residuals residuals;
  residuals.run(86'400);
  CHECK(residuals.out.empty());
}

TEST_CASE("A shift of half a standard deviation is one alarm: a slow drift, dated and measured") {
  Residuals residuals;
  residuals.run(500);
  residuals.bias_a = 0.5;
  residuals.run(1000);
  REQUIRE(residuals.raised() == RaisedIds{"t.a.slow_drift"});
  const AnomalyEvent& event = residuals.out[0];
  CHECK(event.kind == AnomalyKind::process);
  CHECK(*event.threshold == 28.0);
  CHECK(*event.statistic > 28.0);
  CHECK(event.onset > base::Instant{430s});
  CHECK(event.raised_at < base::Instant{700s});
  CHECK(*event.magnitude == Approx(0.05).epsilon(0.35));
  residuals.bias_a = 0.0;
  residuals.run(600);
  CHECK(residuals.out.back().event == AnomalyEventKind::cleared);
  CHECK(residuals.raised() == RaisedIds{"t.a.slow_drift"});
}

TEST_CASE("A large shift is the CUSUM's alone, and nothing follows when it is over") {
  for (const double bias : {1.5, 2.5, 4.0}) {
    Residuals residuals;
    residuals.run(200);
    residuals.bias_b = bias;
    residuals.run(400);
    residuals.bias_b = 0.0;
    residuals.run(1000);
    CHECK(residuals.raised() == RaisedIds{"t.b.cusum"});
    CHECK(residuals.out.back().event == AnomalyEventKind::cleared);
  }
}

TEST_CASE("A sensor twice as noisy is one alarm of its noise") {
  Residuals residuals;
  residuals.run(200);
  residuals.spread_a = 2.0;
  residuals.run(400);
  CHECK(residuals.raised() == RaisedIds{"t.a.noise_up"});
  REQUIRE_FALSE(residuals.out.empty());
  CHECK(residuals.out[0].kind == AnomalyKind::sensor);
  CHECK(residuals.out[0].message.find("noisier") != std::string::npos);
  residuals.spread_a = 1.0;
  residuals.run(300);
  CHECK(residuals.out.back().event == AnomalyEventKind::cleared);
}

TEST_CASE("Noise that grows in all outputs is no sensor's: all together tell it") {
  Residuals residuals;
  residuals.run(200);
  residuals.spread_a = residuals.spread_b = 1.55;
  residuals.run(400);
  CHECK(residuals.raised() == RaisedIds{"t.nis"});
  REQUIRE_FALSE(residuals.out.empty());
  CHECK(residuals.out[0].tags == std::vector<std::string>{"plc.a", "plc.b"});
}

TEST_CASE("Frozen noise is told only where the regime is calibrated") {
  for (const bool calibrated : {false, true}) {
    DiagnosisSettings settings;
    if (calibrated) settings.calibration = calibration_of({{kWholeLog, 5.0, 0, 0.1, 0.01, 0.01, 2.0, {{"a"}, {"b"}}}});
    Residuals residuals(settings);
    residuals.run(200);
    residuals.spread_a = 0.2;
    residuals.run(400);
    CHECK(residuals.raised() == (calibrated ? RaisedIds{"t.a.noise_down"} : RaisedIds{}));
    CHECK(residuals.diagnosis().calibrated(-1) == calibrated);
    if (!calibrated) continue;
    REQUIRE_FALSE(residuals.out.empty());
    CHECK(residuals.out[0].evidence_hours == 5.0);
    CHECK(residuals.out[0].observed_false_alarms == 0);
  }
}

TEST_CASE("A few outliers are no departure of all outputs together") {
  Residuals residuals;
  residuals.run(200);
  for (int outlier = 0; outlier < 3; ++outlier) {
    residuals.bias_a = 100.0;
    residuals.run(1);
    residuals.bias_a = 0.0;
    residuals.run(8);
  }
  residuals.run(300);
  CHECK(residuals.out.empty());
}

TEST_CASE("Scale, blocks and limits are those of the regime at hand") {
  DiagnosisSettings settings;
  settings.calibration =
      calibration_of({{"slow", 5.0, 0, 0.1, 0.01, 0.01, 9.0, {{"a", 2.0, 1, 1.0, 16.0, 28.0, 0.2, 3.0}, {"b", 2.0}}},
                      {"fast", 5.0, 0, 0.1, 0.01, 0.01, 2.0, {{"a", 1.0, 4, 1.5, 10.0, 28.0, 0.0, 9.0}, {"b"}}}});
  Residuals residuals(settings, {"slow", "fast", "other"});
  residuals.spread_a = residuals.spread_b = 2.0;
  residuals.step().regime = 0;
  residuals.run(2000);
  CHECK(residuals.out.empty());  // twice the noise is what the regime has
  CHECK(residuals.diagnosis().calibrated(0));
  CHECK_FALSE(residuals.diagnosis().calibrated(2));

  residuals.step().regime = 1;
  residuals.spread_a = 0.0;
  residuals.spread_b = 1.0;
  residuals.bias_a = 3.0;
  residuals.run(4);
  CHECK(residuals.diagnosis().cusum(0).value() == Approx(4 * 3.0 / (2.0 * 1.5) - 0.5));
  residuals.run(11);
  REQUIRE(residuals.raised() == RaisedIds{"t.a.cusum"});
  CHECK(*residuals.out[0].threshold == 10.0);
  CHECK(*residuals.out[0].magnitude == Approx(0.3));
  CHECK(residuals.out[0].onset == residuals.step().time - 14s);
}

TEST_CASE("A TwinDiagnosis goes on from its archive as if nothing had been") {
  Residuals one, other;
  one.run(150);
  one.bias_a = 0.4;
  one.run(97);
  std::vector<std::byte> bytes;
  base::ArchiveWriter writer(bytes);
  one.diagnosis().archive(writer);
  base::ArchiveReader reader(bytes, base::Duration{0});
  other.diagnosis().archive(reader);
  REQUIRE(reader.ok());
  CHECK(other.diagnosis().slow_drift(0).value() == one.diagnosis().slow_drift(0).value());
  CHECK(other.diagnosis().noise(1).value() == one.diagnosis().noise(1).value());
  CHECK(other.diagnosis().nis().value() == one.diagnosis().nis().value());
}

TEST_CASE("WindowedNis and VarianceRatio are those of their windows, and begin anew") {
  WindowedNis nis(4, 2, 5.0);
  VarianceRatio ratio(4);
  for (int k = 0; k < 11; ++k) {
    nis.add(k, 2, base::Instant{k * 1s});
    ratio.add(k % 2 == 0 ? 3.0 : 5.0, base::Instant{k * 1s});
    CHECK(nis.full() == (k >= 3));
  }
  CHECK(nis.value() == Approx((7 + 8 + 9 + 10) / 8.0));
  CHECK(ratio.value() == Approx(4.0 / 3.0));
  nis.add(5.0, 0, base::Instant{99s});
  CHECK(nis.value() == Approx(34.0 / 8.0));
  nis.set_limit(3.0);
  CHECK(nis.limit() == 3.0);
  nis.add(1.0, 1, base::Instant{99s});
  CHECK(nis.limit() == Approx(1.0 + 2.0 * std::sqrt(8.0 / 7.0)));
  nis.reset();
  CHECK_FALSE(nis.full());
  CHECK(WindowedNis(60, 2, 5.0).dof() == 0);
}

TEST_CASE("A value that stands still while the twin expects it to move is stuck, however coarse the sensor is") {
  // A sensor of 1.0 steps: a code may last for ever while nothing moves.
  const auto bench = [](bool moves, bool fresh) {
    SignalSetup level{"a", "m", "plc.a"};
    level.motion = MotionTest{1.0, 10};
    TwinDiagnosis diagnosis({"t", {}, {level, {"b", "m", "plc.b"}}, DiagnosisSettings{}, 1s});
    estimation::TwinStep step(0, 0, 2);
    step.mode = estimation::Mode::tracking;
    std::vector<AnomalyEvent> out;
    const auto tell = [&](double measured, double expected) {
      step.time += 1s;
      ++step.step;
      test::measure(step.outputs[0], expected, 0.3, (measured - expected) / 0.3);
      step.outputs[0].measured = measured;
      step.outputs[0].fresh = fresh;
      test::measure(step.outputs[1], 1.0, 0.1, 0.0);
      step.outputs[1].fresh = true;
      diagnosis.evaluate(step, out);
    };
    for (int k = 0; k < 3000; ++k) tell(5.0, 5.0 + (k % 2 == 0 ? 0.3 : -0.3));
    CHECK(out.empty());
    for (int k = 0; k < 400; ++k) tell(5.0, 5.0 + (moves ? std::min(k * 0.02, 3.2) : 0.0));
    const auto stuck = [](const AnomalyEvent& event) { return event.id == "t.a.stuck"; };
    const bool found = std::any_of(out.begin(), out.end(), stuck);
    const auto raised = std::find_if(out.begin(), out.end(), stuck);
    if (found) {
      CHECK(raised->event == AnomalyEventKind::raised);
      CHECK(raised->kind == AnomalyKind::sensor);
      CHECK(raised->time > base::Instant{3000s + 100s});  // 3.0 of the motion expected
      CHECK(raised->time < base::Instant{3000s + 160s});
      tell(8.0, 8.2);
      for (int k = 0; k < 100; ++k) tell(8.0, 8.1);
      CHECK(out.back().id == "t.a.stuck");
      CHECK(out.back().event == AnomalyEventKind::cleared);
    }
    return found;
  };
  CHECK(bench(true, true));
  CHECK_FALSE(bench(false, true));
  CHECK_FALSE(bench(true, false));  // nothing new is heard: that is another fault
}

TEST_CASE("WindowedNis of many outputs can exceed any limit, by five steps and not by two") {
  WindowedNis nis(10, 50, 5.0);
  nis.set_limit(3.0);
  for (int i = 0; i < 10; ++i) nis.add(50.0, 50, {});
  nis.add(1e6, 50, {});
  CHECK(nis.value() < 3.0);
  nis.add(1e6, 50, {});
  CHECK(nis.value() < 3.0);
  for (int i = 0; i < 3; ++i) nis.add(1e6, 50, {});
  CHECK(nis.value() > 3.0);
}
