#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>
#include <random>

#include "output_rows.hpp"
#include "support/catch.hpp"

namespace {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size > 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;
using estimation::Mode;
using estimation::OutputStep;
using signals::Quality;
using signals::Reason;

namespace {

constexpr double kSigma = 0.002;

// A twin of two outputs and one input at 100 ms, whose innovations are seeded noise plus what a test adds.
class TwinDiagnosisBench {
 public:
  TwinDiagnosisBench() : TwinDiagnosisBench(DiagnosisSettings{}) {}
  explicit TwinDiagnosisBench(DiagnosisSettings settings, bool tells_level_2 = true)
      : diagnosis_({"tanks",
                    {{"pump", "V", "plc.pump"}},
                    {{"level_1", "m", "plc.level_1"}, {"level_2", "m", "plc.level_2", tells_level_2}},
                    settings,
                    100ms}),
        step_(0, 1, 2) {
    step_.mode = Mode::tracking;
    for (OutputStep& row : step_.outputs) good(row);
    step_.inputs[0] = {3.0, Quality::good, Reason::none, 0ms};
    out.reserve(64);
  }

  static void good(OutputStep& row) {
    row.quality = Quality::good;
    row.reason = Reason::none;
  }

  // `bias` in standard deviations per output. A row with a reason keeps its last measurement.
  void run(int steps, double bias_1 = 0.0, double bias_2 = 0.0) {
    const double bias[] = {bias_1, bias_2};
    for (int k = 0; k < steps; ++k) {
      step_.time += 100ms;
      ++step_.step;
      for (std::size_t i = 0; i < 2; ++i) {
        OutputStep& row = step_.outputs[i];
        row.expected = 0.5;
        row.std = kSigma;
        const bool faulty = row.quality == Quality::bad && row.reason != Reason::spike;
        const double z = noise_(random_) + bias[i];
        if (faulty) {
          row.innovation = row.test_ratio = std::nan("");
          row.fused = false;
          continue;
        }
        test::measure(row, 0.5, kSigma, z);
      }
      diagnosis_.evaluate(step_, out);
    }
  }

  void fault(std::size_t output, Reason reason) {
    step_.outputs[output].quality = Quality::bad;
    step_.outputs[output].reason = reason;
  }
  void repair(std::size_t output) { good(step_.outputs[output]); }
  estimation::TwinStep& step() { return step_; }
  TwinDiagnosis& diagnosis() { return diagnosis_; }
  [[nodiscard]] std::vector<std::string> active() const { return diagnosis_.alarms().active_ids(); }
  [[nodiscard]] base::Instant now() const { return step_.time; }

  std::vector<AnomalyEvent> out;

 private:
  TwinDiagnosis diagnosis_;
  estimation::TwinStep step_;
  std::mt19937_64 random_{5};
  std::normal_distribution<double> noise_;
};

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("Healthy innovations raise nothing over three hours") {
  TwinDiagnosisBench bench;
  bench.run(108'000);
  CHECK(bench.out.empty());
}

TEST_CASE("A quiet evaluation allocates nothing, with the model watched or not") {
  DiagnosisSettings settings;
  if (GENERATE(false, true)) {
    settings.calibration.period = 100ms;
    RegimeCalibration regime;
    regime.name = kWholeLog;
    regime.model_block = 10;
    regime.nis_mean_high = 10.0;
    settings.calibration.regimes.push_back(regime);
  }
  TwinDiagnosisBench bench(settings);
  bench.run(100);
  const std::size_t before = allocations.load();
  bench.run(1000);
  CHECK(allocations.load() == before);
}

TEST_CASE("A lasting shift is a process anomaly with its onset, size and honest ambiguity") {
  TwinDiagnosisBench bench;
  bench.run(600);
  const base::Instant start = bench.now();
  bench.run(100, -2.0);
  REQUIRE(bench.out.size() == 1);
  const AnomalyEvent& event = bench.out[0];
  CHECK(event.id == "tanks.level_1.cusum");
  CHECK(event.kind == AnomalyKind::process);
  CHECK(event.test == "cusum");
  CHECK(event.owner == "tanks");
  CHECK(event.tags == Ids{"plc.level_1"});
  CHECK(event.unit == "m");
  CHECK(event.raised_at - start < 5s);
  CHECK(event.raised_at - start >= 2s);
  CHECK(std::chrono::abs(event.onset - start) < 1s);
  CHECK(*event.magnitude == Approx(-2.0 * kSigma).epsilon(0.25));
  CHECK(*event.statistic > *event.threshold);
  CHECK(*event.threshold == 16.0);
  CHECK(*event.sigma == kSigma);
  CHECK(event.ambiguous_with == Ids{"sensor:plc.level_1"});
  CHECK(event.hypotheses.size() == 2);
  CHECK(event.trend.size() > 50);
  CHECK(event.trend.size() <= 60);
  CHECK(*event.nominal_false_alarms_per_day == Approx(864'000.0 / 2.85e7).epsilon(0.03));
  CHECK(priority_of(event.severity) == Priority::high);
}

TEST_CASE("A process anomaly clears after the shift is gone within the bound of cap and off-delay") {
  TwinDiagnosisBench bench;
  bench.run(300, 3.0);
  REQUIRE(bench.active() == Ids{"tanks.level_1.cusum"});
  const base::Instant end = bench.now();
  bench.run(900);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::cleared);
  CHECK(*bench.out[1].cleared_at - end >= 60s);
  CHECK(*bench.out[1].cleared_at - end < 72s);
}

TEST_CASE("Departures of other outputs join the standing process anomaly") {
  TwinDiagnosisBench bench;
  bench.run(100, 2.5);
  REQUIRE(bench.active() == Ids{"tanks.level_1.cusum"});
  bench.run(700, 2.5, -2.0);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::changed);
  CHECK(bench.out[1].tags == Ids{"plc.level_1", "plc.level_2"});
  CHECK(bench.active().size() == 1);
}

TEST_CASE("Outputs that depart together are one anomaly") {
  TwinDiagnosisBench bench;
  bench.run(200, 2.0, 2.0);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].tags.size() == 2);
}

TEST_CASE("A jump of one output beyond the gate while the others agree is the sensor") {
  TwinDiagnosisBench bench;
  bench.run(600);
  const base::Instant start = bench.now();
  bench.run(100, 0.0, 40.0);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "tanks.level_2.gate");
  CHECK(bench.out[0].kind == AnomalyKind::sensor);
  CHECK(bench.out[0].test == "gate");
  CHECK(bench.out[0].onset - start == 100ms);
  CHECK(bench.out[0].raised_at - bench.out[0].onset == 2s);
  CHECK(bench.out[0].ambiguous_with.empty());
  CHECK(*bench.out[0].statistic > 30.0);
  // Alone it would take a chance of erfc(gate/√2) in each of the 21 steps of on_delay.
  const double chance = std::pow(std::erfc(5.0 / std::sqrt(2.0)), 21);
  CHECK(*bench.out[0].nominal_false_alarms_per_day == Approx(864'000.0 * chance).epsilon(1e-12));
  bench.run(700);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::cleared);
}

TEST_CASE("A single outlier raises nothing") {
  TwinDiagnosisBench bench;
  for (int i = 0; i < 20; ++i) {
    bench.run(100);
    bench.run(1, 30.0);
  }
  CHECK(bench.out.empty());
}

TEST_CASE("A ramp through the gate is a drift and not a jump") {
  TwinDiagnosisBench bench;
  for (int i = 0; i < 150; ++i) bench.run(1, 0.1 * i);
  REQUIRE_FALSE(bench.out.empty());
  CHECK(bench.out[0].id == "tanks.level_1.cusum");
  CHECK(bench.active() == Ids{"tanks.level_1.cusum"});
}

TEST_CASE("A jump of both outputs at once is the process") {
  TwinDiagnosisBench bench;
  bench.run(100);
  bench.run(100, 20.0, 20.0);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].kind == AnomalyKind::process);
  CHECK(bench.out[0].tags.size() == 2);
}

TEST_CASE("A stuck sensor is one alarm dated back to its last movement") {
  TwinDiagnosisBench bench;
  bench.run(600);
  const base::Instant last_movement = bench.now();
  const double frozen = bench.step().outputs[1].measured;
  bench.fault(1, Reason::stuck);
  bench.step().outputs[1].measured = frozen;
  bench.run(300);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "tanks.level_2.stuck");
  CHECK(bench.out[0].kind == AnomalyKind::sensor);
  CHECK(bench.out[0].ne107 == NamurStatus::failure);
  CHECK(bench.out[0].onset == last_movement);
  CHECK(*bench.out[0].measured == frozen);
  bench.repair(1);
  bench.run(700);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::cleared);
}

TEST_CASE("A reason raised for an output drops what is pending on it") {
  TwinDiagnosisBench bench;
  bench.run(100);
  bench.run(15, 0.0, 3.0);  // above the limit, but not for the on-delay
  CHECK(bench.diagnosis().cusum(1).value() > 16.0);
  bench.fault(1, Reason::stuck);
  bench.run(300);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "tanks.level_2.stuck");
  CHECK(bench.diagnosis().cusum(1).value() == 0.0);
  bench.repair(1);
  bench.run(1);
  CHECK(bench.diagnosis().cusum(1).value() < 5.0);
}

TEST_CASE("A twin says nothing about a sensor of which another twin tells") {
  TwinDiagnosisBench bench(DiagnosisSettings{}, false);
  bench.run(50);
  bench.fault(1, Reason::stuck);
  bench.run(200);
  CHECK(bench.out.empty());
  bench.fault(0, Reason::stuck);
  bench.run(200);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "tanks.level_1.stuck");
}

TEST_CASE("An anomaly that a stuck sensor explains is cleared when the sensor is told") {
  TwinDiagnosisBench bench;
  bench.run(100);
  OutputStep& row = bench.step().outputs[1];
  bench.run(1);
  const double frozen = row.measured;
  for (int k = 0; k < 100; ++k) {  // the value stands still while the model moves on
    bench.step().time += 100ms;
    row.measured = frozen;
    row.expected = frozen - 3.0 * kSigma;
    row.innovation = 3.0 * kSigma;
    row.test_ratio = 9.0 / 25.0;
    bench.diagnosis().evaluate(bench.step(), bench.out);
  }
  REQUIRE(bench.active() == Ids{"tanks.level_2.cusum"});
  bench.fault(1, Reason::stuck);
  bench.run(1);
  CHECK(bench.active() == Ids{"tanks.level_2.stuck"});
  REQUIRE(bench.out.size() == 3);
  CHECK(bench.out[2].event == AnomalyEventKind::cleared);
  CHECK(bench.out[2].caused_by == Ids{"tanks.level_2.stuck"});
}

TEST_CASE("A leak that began before a sensor stuck stays beside the sensor's alarm") {
  TwinDiagnosisBench bench;
  bench.run(200, 0.0, 2.5);
  REQUIRE(bench.active() == Ids{"tanks.level_2.cusum"});
  bench.fault(1, Reason::stuck);
  bench.run(50);
  CHECK(bench.active().size() == 2);
}

TEST_CASE("Departures right after a sensor fault join it and later ones are raised on their own") {
  TwinDiagnosisBench bench;
  bench.run(100);
  bench.fault(1, Reason::stuck);
  bench.run(10);
  bench.run(100, 2.5);
  CHECK(bench.active() == Ids{"tanks.level_2.stuck"});
  bench.run(1000);
  REQUIRE(bench.active() == Ids{"tanks.level_2.stuck"});
  bench.run(100, 2.5);
  CHECK(bench.active() == Ids{"tanks.level_1.cusum", "tanks.level_2.stuck"});
}

TEST_CASE("A faulty input is a sensor alarm of the twin even while its value is held") {
  TwinDiagnosisBench bench;
  bench.step().inputs[0].quality = Quality::uncertain;
  bench.step().inputs[0].reason = Reason::out_of_range;
  bench.run(19);
  CHECK(bench.out.empty());
  bench.run(10);
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "tanks.pump.out_of_range");
  CHECK(bench.out[0].tags == Ids{"plc.pump"});
  CHECK(bench.out[0].unit == "V");
  bench.step().inputs[0].reason = Reason::saturated;
  bench.run(700);
  CHECK(bench.active().empty());
}

TEST_CASE("What is a matter of the device raises nothing and leaves standing alarms alone") {
  for (const Reason reason : {Reason::timeout, Reason::exception, Reason::no_match, Reason::stale}) {
    TwinDiagnosisBench bench;
    bench.run(100);
    bench.fault(0, Reason::stuck);
    bench.run(50);
    REQUIRE(bench.out.size() == 1);
    bench.fault(0, reason);
    bench.fault(1, reason);
    bench.run(1000);
    CHECK(bench.out.size() == 1);
    CHECK(bench.active() == Ids{"tanks.level_1.stuck"});
  }
}

TEST_CASE("Innovations count only in modes that can be trusted and start from zero there") {
  for (const Mode mode : {Mode::initializing, Mode::converging, Mode::lost}) {
    TwinDiagnosisBench bench;
    bench.run(12, 2.0);
    CHECK(bench.diagnosis().cusum(0).value() > 5.0);
    const double held = bench.diagnosis().cusum(0).value();
    bench.step().mode = mode;
    bench.run(300, 4.0, 4.0);
    CHECK(bench.out.empty());
    CHECK(bench.diagnosis().cusum(0).value() == held);
    bench.step().mode = Mode::tracking;
    bench.run(1);
    CHECK(bench.diagnosis().cusum(0).value() < 5.0);
  }
}

TEST_CASE("Tests that are switched off raise nothing") {
  DiagnosisSettings settings;
  settings.gate.reset();
  settings.cusum.enabled = settings.slow_drift.enabled = false;
  settings.nis.enabled = settings.noise.enabled = false;
  TwinDiagnosisBench bench(settings);
  bench.run(300, 20.0);
  CHECK(bench.out.empty());
}

TEST_CASE("Virtual outputs and constant inputs have no alarms") {
  TwinDiagnosis diagnosis({"t", {{"ambient", "degC", ""}}, {{"y", "m", ""}}, DiagnosisSettings{}, 1s});
  estimation::TwinStep step(0, 1, 1);
  step.mode = Mode::tracking;
  step.outputs[0].quality = Quality::bad;
  step.outputs[0].reason = Reason::stuck;
  step.inputs[0].reason = Reason::stuck;
  std::vector<AnomalyEvent> out;
  for (int k = 0; k < 100; ++k) {
    step.time += 1s;
    diagnosis.evaluate(step, out);
  }
  CHECK(out.empty());
}
