// A twin's limits, and the size of its noise, from the healthy rows of a log: what the command `calibrate` and the job
// `recalibrate` do.
//
//   1  the log through the live path (log_replay.hpp), ungated: innovations by regime in steps that are tested
//   2  where their robust variance is not what the model says, all its covariances are multiplied by one factor, the
//      median over outputs: gains and estimates stay what they are, standard deviations become honest
//   3  the log once more, gated as it will be; limits by regime (identification/calibrate.hpp)
// Rows that made the model (hash and rows of its provenance) are told apart: limits then come from four blocked
// cross-refits where one can refit (`refit`), else from the rows themselves, widened as Akaike's final prediction error
// has it, by at least kLeastWidening. After maintenance step 2 is sensor_reset.hpp: offsets and noise of the sensors, not
// of the process; rows that made the model are not refitted, as its dynamics are to stay.
//
// Errors: of the reader and the replay; cancelled; invalid_argument when no regime has enough rows. Thread rule: any thread, with a
// plan of its own. Allocates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/log_columns.hpp"
#include "app/plan.hpp"
#include "app/sensor_reset.hpp"
#include "identification/calibrate.hpp"
#include "logs/log_reader.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

inline constexpr double kLeastWidening = 1.2;
inline constexpr std::size_t kRefitFolds = 4;

// Half-open ranges of equal size, in order, that make up the rows.
[[nodiscard]] std::vector<logs::RowRange> blocked_folds(std::size_t begin, std::size_t end, std::size_t folds);

struct CalibrationJob {
  Plan plan;  // changed on the way
  std::size_t twin = 0;
  std::string log_file;
  TagsOfColumns tags;
  logs::RowRange rows;
  double false_alarms_per_day = 1.0 / 30.0;
  bool rows_made_the_model = false;
  bool after_maintenance = false;
  // The model from the rows of the log that are in the ranges; absent: nobody can.
  std::function<base::Result<model::ModelSettings>(const std::vector<logs::RowRange>& rows)> refit = {};
  std::function<bool()> stop = {};                       // asked before each row
  std::function<void(const std::string&)> on_step = {};  // what is being done, and how far it is
};

struct UsualState {  // an augmented one that begins where healthy rows have shown it
  std::string name;
  double before = 0.0;
  double value = 0.0, std = 0.0;
};

struct CalibrationOutcome {
  model::ModelSettings model;  // with the noise factor
  diagnosis::DiagnosisSettings diagnosis;
  std::vector<identification::RegimeFigures> figures;
  std::vector<std::string> too_short;  // regimes with too few rows
  double noise_factor = 1.0;           // of variances
  double widening = 1.0;
  bool refitted = false;
  std::vector<UsualState> usual;
  std::optional<SensorReset> sensors;  // after maintenance
  std::string why_not_refitted;        // where it was tried
  std::uint64_t rows = 0;
  std::uint64_t steps_tested = 0;
};

[[nodiscard]] base::Result<CalibrationOutcome> calibrate_twin(CalibrationJob job);

// Whether the rows are, in part, those that the model was made of: by what its provenance (JSON, may be empty) says of
// data.rows, data.inputs, data.outputs, and data.hash over them.
[[nodiscard]] base::Result<bool> made_the_model(const std::string& provenance, const std::string& log_file,
                                                const logs::RowRange& rows);

// Covariances times `factor`, however the model gives them.
void scale_noise(model::ModelSettings& model, double factor);

// What a person reads: one line per finding.
[[nodiscard]] std::vector<std::string> told_of(const CalibrationOutcome& outcome, const CalibrationJob& job);

// The text of the model file: version one higher, provenance (JSON, may be empty) with what was done.
[[nodiscard]] std::string calibrated_model_file(const CalibrationOutcome& outcome, const std::string& provenance,
                                                const std::string& log_file, const std::string& rows,
                                                base::WallTime now);

}  // namespace twinkeeper::app
