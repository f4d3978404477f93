#include <iostream>

#include "app/calibrate_page.hpp"
#include "app/calibration.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/model_output.hpp"
#include "app/model_refit.hpp"
#include "app/progress_line.hpp"

namespace twinkeeper::app {
namespace {

struct TwinToCalibrate {
  CalibrationJob job;
  std::vector<std::string> names;  // by TagIndex, as the log has them
  std::string provenance;
  InputsNeeded inputs = InputsNeeded::all;
};

std::variant<TwinToCalibrate, int> of_model(const CalibrateArguments& arguments, const logs::LogReader& log) {
  auto loaded = load_model_or_report(*arguments.model_file, arguments.sample_time, arguments.diagnosis_file);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  auto& file = std::get<config::ModelFile>(loaded);
  file.has_diagnosis = true;  // the usual one, if it has none: all tests on
  TwinToCalibrate out;
  out.job.plan = plan_of_model(file, names_of(log.columns()));
  for (const auto& reg : out.job.plan.config.devices[0].driver.registers) out.names.push_back(reg.name);
  out.provenance = file.provenance;
  return out;
}

std::variant<TwinToCalibrate, int> of_configuration(const CalibrateArguments& arguments) {
  auto loaded = load_or_report(*arguments.config_file, false, arguments.diagnosis_file);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  TwinToCalibrate out;
  out.job.plan = std::move(std::get<Plan>(loaded));
  out.names = tag_names(out.job.plan.config);
  out.inputs = InputsNeeded::none;
  const auto twin = choose_twin(out.job.plan, "calibrate", arguments.twin);
  if (!twin) return kExitUsage;
  out.job.twin = *twin;
  const auto& config = out.job.plan.config.twins[*twin];
  if (config.model.file.empty()) return out;
  const auto file = load_model_file(config.model.file, config.period, {});
  if (const auto* model = std::get_if<config::ModelFile>(&file)) out.provenance = model->provenance;
  return out;
}

}  // namespace

int calibrate_command(const CalibrateArguments& arguments) {
  const auto asked = rows_asked("calibrate", arguments.rows);
  if (!asked) return kExitUsage;
  const logs::RowRange& rows = *asked;
  if (!(arguments.false_alarms_per_day > 0.0)) {
    return told("calibrate: --false-alarms-per-day; accepted: a number above 0", kExitUsage);
  }
  auto opened = logs::LogReader::open(arguments.input_file);
  if (!opened.ok()) return told(opened.error().message(), exit_code_of_log(opened.error()));
  const logs::LogReader& log = opened.value();
  auto chosen_or_code = arguments.model_file ? of_model(arguments, log) : of_configuration(arguments);
  if (const int* code = std::get_if<int>(&chosen_or_code)) return *code;
  auto& chosen = std::get<TwinToCalibrate>(chosen_or_code);
  CalibrationJob& job = chosen.job;
  const auto tags = match_columns({log.file(), log.columns()}, job.plan, job.twin, chosen.names, chosen.inputs);
  if (!tags) return kExitBadData;
  if (!has_columns_enough(log.file(), job.plan)) return kExitBadData;
  job.tags = *tags;
  job.log_file = arguments.input_file;
  job.rows = rows;
  job.false_alarms_per_day = arguments.false_alarms_per_day;
  const auto overlap = made_the_model(chosen.provenance, arguments.input_file, rows);
  if (!overlap.ok()) return told(overlap.error().message(), exit_code_of_log(overlap.error()));
  job.rows_made_the_model = overlap.value();
  job.after_maintenance = arguments.after_maintenance;
  if (overlap.value()) {
    job.refit = refit_of(chosen.provenance, job.plan.config.twins[job.twin].model, arguments.input_file);
  }

  ProgressLine progress("calibrate");
  job.on_step = [&](const std::string& what) { progress.tell(what); };
  const auto calibrated = calibrate_twin(job);
  progress.end();
  if (!calibrated.ok()) return told(calibrated.error().message(), exit_code_of_log(calibrated.error()));
  const CalibrationOutcome& outcome = calibrated.value();
  std::cout << outcome.rows << " rows, " << outcome.steps_tested << " steps tested\n";
  for (const std::string& line : told_of(outcome, job)) std::cout << line << '\n';
  const std::string range = std::to_string(rows.begin) + ":" + std::to_string(rows.begin + outcome.rows);
  const auto now = std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now());
  const int code = write_model_file(
      arguments.output_file, calibrated_model_file(outcome, chosen.provenance, arguments.input_file, range, now));
  if (code != kExitDone || !arguments.report_file) return code;
  return write_calibrate_page(*arguments.report_file, job, outcome, range);
}

}  // namespace twinkeeper::app
