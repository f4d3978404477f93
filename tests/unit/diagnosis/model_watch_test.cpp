#include "twinkeeper/diagnosis/model_watch.hpp"

#include <array>
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

// One step a minute of two outputs, AR(1) with `phi`, in two regimes with bands of an hour.
class Ageing {
 public:
  explicit Ageing(base::Duration after = 24h)
      : diagnosis_({"t", {}, {{"a", "m", "plc.a"}, {"b", "m", "plc.b"}}, settings(after), 60s, {"slow", "fast"}}),
        step_(0, 0, 2) {
    step_.mode = estimation::Mode::tracking;
    step_.regime = 0;
  }

  static DiagnosisSettings settings(base::Duration after) {
    DiagnosisSettings out;
    out.model.after = after;
    out.calibration.period = 60s;
    for (const char* name : {"slow", "fast"}) {
      RegimeCalibration regime;
      regime.name = name;
      regime.nis = 1e3;  // what else could speak is kept quiet
      regime.model_block = 60;
      regime.nis_mean_low = 0.4;
      regime.nis_mean_high = 1.6;
      for (const char* output : {"a", "b"}) {
        OutputCalibration one;
        one.name = output;
        one.cusum = one.slow_drift = one.noise_high = 1e5;
        one.noise_low = 0.0;
        one.autocorrelation_low = -0.52;
        one.autocorrelation_high = 0.52;
        regime.outputs.push_back(one);
      }
      out.calibration.regimes.push_back(regime);
    }
    return out;
  }

  void run(int minutes) {
    for (int k = 0; k < minutes; ++k) {
      step_.time += 60s;
      ++step_.step;
      step_.nis = 0.0;
      step_.nis_dof = 2;
      for (std::size_t i = 0; i < 2; ++i) {
        z_[i] = phi * z_[i] + std::sqrt(1.0 - phi * phi) * noise_(random_);
        step_.nis += spread * spread * z_[i] * z_[i];
        test::measure(step_.outputs[i], 1.0, 0.1, spread * z_[i]);
      }
      if (stuck) {
        step_.outputs[0].quality = signals::Quality::bad;
        step_.outputs[0].reason = signals::Reason::stuck;
        step_.outputs[0].innovation = step_.outputs[0].test_ratio = std::nan("");
      }
      diagnosis_.evaluate(step_, out);
    }
  }
  [[nodiscard]] std::set<std::string> raised() const { return test::raised_in(out); }

  double phi = 0.0, spread = 1.0;
  bool stuck = false;
  std::vector<AnomalyEvent> out;
  estimation::TwinStep& step() { return step_; }
  TwinDiagnosis& diagnosis() { return diagnosis_; }

 private:
  TwinDiagnosis diagnosis_;
  estimation::TwinStep step_;
  std::array<double, 2> z_{};
  std::mt19937_64 random_{7};
  std::normal_distribution<double> noise_;
};

using AgeingIds = std::set<std::string>;

}  // namespace

TEST_CASE("A block's autocorrelation and mean NIS are those of its rows, and no pair spans a gap") {
  ModelBlock block(1, 5.0);
  const double rows[] = {1.0, -1.0, 1.0, -1.0};
  for (int round = 0; round < 20; ++round) {
    block.part();
    for (const double z : rows) block.add(&z, 1.0, 1);
  }
  CHECK(block.steps() == 80);
  CHECK(block.mean_nis() == Approx(1.0));
  CHECK(block.autocorrelation(0) == Approx(-1.0));
  block.reset();
  CHECK(std::isnan(block.mean_nis()));
  CHECK(std::isnan(block.autocorrelation(0)));
}

TEST_CASE("A model that fits raises nothing in ten days") {
  Ageing ageing;
  ageing.run(14'400);
  CHECK(ageing.out.empty());
}

TEST_CASE("Innovations that are larger, smaller or follow one another for a day are an anomaly of the model") {
  const auto [phi, spread, test] = GENERATE(table<double, double, std::string>(
      {{0.0, 1.6, "mean_nis"}, {0.0, 0.4, "mean_nis"}, {0.8, 1.0, "autocorrelation"}}));
  Ageing ageing;
  ageing.run(3000);
  ageing.phi = phi;
  ageing.spread = spread;
  ageing.run(1380);
  CHECK(ageing.out.empty());
  ageing.run(180);
  REQUIRE(ageing.raised() == AgeingIds{"t.model"});
  const AnomalyEvent event = ageing.out[0];
  CHECK(event.kind == AnomalyKind::model);
  CHECK(event.test == test);
  CHECK(event.onset >= base::Instant{2999min});
  CHECK(event.onset <= base::Instant{3061min});
  CHECK(event.message.find("for 25 h in regime slow") != std::string::npos);
  CHECK(priority_of(event.severity) == Priority::low);
  ageing.phi = 0.0;
  ageing.spread = 1.0;
  ageing.run(180);
  REQUIRE(ageing.out.size() == 2);
  CHECK(ageing.out[1].event == AnomalyEventKind::cleared);
  CHECK(ageing.out[1].message == "The model of t fits the machine again.");
}

TEST_CASE("A model's misfit is counted by regime: a good hour of another makes it none") {
  Ageing ageing(6h);
  for (int day = 0; day < 4; ++day) {
    ageing.step().regime = 0;
    ageing.spread = 2.0;
    ageing.run(120);
    ageing.step().regime = 1;
    ageing.spread = 1.0;
    ageing.run(120);
  }
  REQUIRE(ageing.raised() == AgeingIds{"t.model"});
  CHECK(ageing.out[0].time > base::Instant{12h});
  CHECK(ageing.out[0].message.find("in regime slow") != std::string::npos);
}

TEST_CASE("While a fault is told, the model is not blamed for it") {
  Ageing ageing(6h);
  ageing.run(60);
  ageing.spread = 2.0;
  ageing.stuck = true;
  ageing.run(1000);
  CHECK(ageing.raised() == AgeingIds{"t.a.stuck"});
}

TEST_CASE("What the watch of a model remembers goes through a checkpoint") {
  Ageing ageing;
  ageing.spread = 2.0;
  ageing.run(1000);
  std::vector<std::byte> bytes;
  base::ArchiveWriter writer(bytes);
  writer(ageing.diagnosis());
  Ageing fresh;
  base::ArchiveReader reader(bytes);
  reader(fresh.diagnosis());
  REQUIRE(reader.done());
  fresh.step().time = ageing.step().time;
  fresh.spread = 2.0;
  fresh.run(440);
  CHECK(fresh.out.empty());
  fresh.run(80);
  CHECK(fresh.raised() == AgeingIds{"t.model"});
}
