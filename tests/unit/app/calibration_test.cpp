// What calibrate makes of a log: by the rows' own innovations, by cross-refits, or widened.
#include "app/calibration.hpp"

#include <fstream>
#include <random>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;
using app::CalibrationJob;

namespace {

constexpr std::size_t kLogRows = 3000;

// A level that forgets, with noise of `noise` times what the model says.
class CalibrationRig {
 public:
  explicit CalibrationRig(double noise = 1.0) {
    model_.model.name = "tank";
    model_.model.sample_time = 1.0;
    model_.model.states.emplace_back().name = "level";
    model_.model.outputs.push_back({"level", "", {}, {}, {}});
    model_.model.A = {{0.9}};
    model_.model.C = {{1.0}};
    model_.model.noise.Q = model::Rows{{1e-4}};
    model_.model.noise.R = model::Rows{{2.5e-3}};
    model_.period = 1s;
    model_.has_diagnosis = true;
    std::ofstream log(folder_.file("log.csv"));
    log << "time,level\n";
    std::mt19937_64 random(4);
    std::normal_distribution<double> normal;
    double level = 0.0;
    for (std::size_t k = 0; k < kLogRows; ++k) {
      log << k << ',' << level + noise * 0.05 * normal(random) << '\n';
      level = 0.9 * level + noise * 0.01 * normal(random);
    }
  }
  [[nodiscard]] CalibrationJob job() const {
    CalibrationJob job;
    job.plan = app::plan_of_model(model_, {"level"});
    job.tags = {0};
    job.log_file = folder_.file("log.csv");
    return job;
  }
  [[nodiscard]] const model::ModelSettings& model() const { return model_.model; }

 private:
  test::TemporaryFolder folder_;
  config::ModelFile model_;
};

}  // namespace

TEST_CASE("A calibration by fresh rows corrects the noise and sets limits") {
  const CalibrationRig rig(2.0);
  const auto calibrated = app::calibrate_twin(rig.job());
  REQUIRE(calibrated.ok());
  const app::CalibrationOutcome& outcome = calibrated.value();
  CHECK(outcome.rows == kLogRows);
  CHECK(outcome.noise_factor == Approx(4.0).epsilon(0.15));
  CHECK((*outcome.model.noise.R)[0][0] == Approx(2.5e-3 * outcome.noise_factor));
  CHECK((*outcome.model.noise.Q)[0][0] == Approx(1e-4 * outcome.noise_factor));
  CHECK(outcome.model.version == 2);
  REQUIRE(outcome.diagnosis.calibration.regimes.size() == 1);
  CHECK(outcome.diagnosis.calibration.regimes[0].outputs[0].scale == Approx(1.0).epsilon(0.08));
  CHECK(outcome.diagnosis.gate == 5.0);
}

TEST_CASE("Rows that made the model are judged block by block by models of the others") {
  const CalibrationRig rig;
  CalibrationJob job = rig.job();
  job.rows = {200, 2600};
  job.rows_made_the_model = true;
  std::size_t calls = 0;
  job.refit = [&](const std::vector<logs::RowRange>& rows) {
    REQUIRE(rows.size() == app::kRefitFolds - 1);
    std::size_t kept = 0;
    for (const auto& range : rows) kept += *range.end - range.begin;
    CHECK(kept == 1800);
    ++calls;
    return base::Result<model::ModelSettings>(rig.model());
  };
  const auto calibrated = app::calibrate_twin(job);
  REQUIRE(calibrated.ok());
  CHECK(calls == app::kRefitFolds);
  CHECK(calibrated.value().refitted);
  CHECK(calibrated.value().widening == 1.0);
  CHECK(app::told_of(calibrated.value(), job)[0].find("cross-refits") != std::string::npos);
}

TEST_CASE("Rows that made the model widen its limits where nobody can refit") {
  const CalibrationRig rig;
  CalibrationJob job = rig.job();
  const auto usual = app::calibrate_twin(job);
  job.rows_made_the_model = true;
  const auto widened = app::calibrate_twin(job);
  REQUIRE((usual.ok() && widened.ok()));
  CHECK(widened.value().widening == app::kLeastWidening);
  const auto scale = [](const auto& outcome) {
    return outcome.value().diagnosis.calibration.regimes[0].outputs[0].scale;
  };
  CHECK(scale(widened) == Approx(app::kLeastWidening * scale(usual)));
}

TEST_CASE("Blocks for cross-refits are contiguous and make up the rows") {
  const auto folds = app::blocked_folds(10, 25, 4);
  REQUIRE(folds.size() == 4);
  CHECK(folds.front().begin == 10);
  CHECK(folds.back().end == 25);
  for (std::size_t i = 1; i < folds.size(); ++i) CHECK(folds[i - 1].end == folds[i].begin);
}

TEST_CASE("A calibration ends when it is told to, and says when rows are too few") {
  const CalibrationRig rig;
  CalibrationJob job = rig.job();
  job.stop = [] { return true; };
  CHECK(app::calibrate_twin(job).error().code() == base::ErrorCode::cancelled);
  job.stop = {};
  job.rows = {0, 50};
  CHECK(app::calibrate_twin(job).error().code() == base::ErrorCode::invalid_argument);
}

TEST_CASE("A calibrated model file is read back with its limits and what was known of its origin") {
  const CalibrationRig rig;
  const auto calibrated = app::calibrate_twin(rig.job());
  REQUIRE(calibrated.ok());
  const std::string text = app::calibrated_model_file(
      calibrated.value(), R"({"method": "n4sid", "data": {"rows": "0:10", "hash": "sha256:1"}})", "a/log.csv", "0:3000",
      base::WallTime{});
  test::TemporaryFolder folder;
  std::ofstream(folder.file("model.yaml")) << text;
  const auto loaded = app::load_model_file(folder.file("model.yaml"), std::nullopt, {});
  REQUIRE(std::holds_alternative<config::ModelFile>(loaded));
  const auto& file = std::get<config::ModelFile>(loaded);
  CHECK(file.has_diagnosis);
  CHECK(file.model.version == 2);
  CHECK(file.diagnosis.calibration == calibrated.value().diagnosis.calibration);
  CHECK(file.provenance.find("n4sid") != std::string::npos);
  CHECK(file.provenance.find("log.csv") != std::string::npos);
}
