#include "app/calibration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/log_replay.hpp"
#include "app/replay_csv.hpp"
#include "base/formatted.hpp"
#include "config/diagnosis_writer.hpp"
#include "config/model_writer.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using identification::NisRow;
using identification::RegimeRows;

constexpr std::uint64_t kRowsBetweenSteps = 2000;
constexpr double kNoiseTolerance = 1.25;  // of variances, either way: within it the model's noise is left alone

void tell_step(const CalibrationJob& job, const std::string& what) {
  if (job.on_step) job.on_step(what);
}

// Takes the steps that diagnosis tests, by regime.
class Innovations final : public LogReplayOutput {
 public:
  Innovations(const config::TwinConfig& twin, const CalibrationJob& job, const std::string& what,
              std::vector<RegimeRows>& regimes)
      : regimes_(regimes), job_(job), what_(what) {
    if (!regimes_.empty()) return;
    const auto add = [&](const std::string& name) {
      const std::vector<std::vector<double>> none(twin.model.outputs.size());
      regimes_.push_back({name, none, {}, none});
    };
    for (const auto& regime : twin.regimes) add(regime.name);
    if (twin.regimes.empty()) add(diagnosis::kWholeLog);
  }

  // So many rows go by first, for the state to settle.
  void pass_over(std::size_t rows) { passed_over_ = rows; }

  void row(std::string_view, std::int64_t, const estimation::TwinStep& step, std::string_view, bool) override {
    if (rows_++ % kRowsBetweenSteps == 0) tell_step(job_, what_ + ", row " + std::to_string(rows_ - 1));
    if (passed_over_ > 0) {
      --passed_over_;
      return;
    }
    if (last_ && step.step <= *last_) return;  // late, or one more row of the tick
    last_ = step.step;
    take(step);
  }
  void step_without_row(std::chrono::nanoseconds, const estimation::TwinStep& step, std::string_view, bool) override {
    last_ = step.step;
  }
  [[nodiscard]] bool stopped() const override { return job_.stop && job_.stop(); }
  [[nodiscard]] std::uint64_t tested() const { return tested_; }
  // The newest step that tracked; without states: none did.
  [[nodiscard]] const estimation::TwinStep& newest() const { return newest_; }

 private:
  void take(const estimation::TwinStep& step) {
    using estimation::Mode;
    const bool in_mode = step.mode == Mode::tracking || step.mode == Mode::degraded || step.mode == Mode::predict_only;
    const auto index = static_cast<std::size_t>(std::max(step.regime, 0));
    if (!in_mode || step.tests_held || index >= regimes_.size()) {
      parted_ = true;
      return;
    }
    ++tested_;
    if (step.mode == Mode::tracking) newest_ = step;
    RegimeRows& rows = regimes_[index];
    if (parted_ || index != regime_) part(rows);
    parted_ = false;
    regime_ = index;
    for (std::size_t i = 0; i < rows.z.size(); ++i) {
      const estimation::OutputStep& output = step.outputs[i];
      const bool takes_part = std::isfinite(output.innovation) && output.std > 0.0 && std::isfinite(output.test_ratio);
      rows.z[i].push_back(takes_part ? output.innovation / output.std : std::nan(""));
      rows.y[i].push_back(takes_part ? output.measured : std::nan(""));
    }
    rows.nis.push_back(step.nis_dof > 0 && std::isfinite(step.nis) ? NisRow{step.nis, step.nis_dof} : NisRow{});
  }
  static void part(RegimeRows& rows) {
    if (rows.nis.empty()) return;
    for (auto& z : rows.z) z.push_back(std::nan(""));
    for (auto& y : rows.y) y.push_back(std::nan(""));
    rows.nis.push_back({});
  }

  std::vector<RegimeRows>& regimes_;
  const CalibrationJob& job_;
  const std::string& what_;
  std::uint64_t rows_ = 0;
  std::size_t passed_over_ = 0;
  std::optional<std::int64_t> last_;
  std::size_t regime_ = 0;
  bool parted_ = true;
  std::uint64_t tested_ = 0;
  estimation::TwinStep newest_{0, 0, 0};
};

struct Passed {
  std::uint64_t rows = 0, tested = 0;
  estimation::TwinStep newest;
};

// The rows through the twin as the plan has it; what they show, but for the first `passed_over`, goes into `regimes`.
// `what`: told as on_step.
base::Result<Passed> pass(const Plan& plan, const CalibrationJob& job, const logs::RowRange& rows,
                          const std::string& what, std::vector<RegimeRows>& regimes, std::size_t passed_over = 0) {
  auto log = logs::LogReader::open(job.log_file);
  if (!log.ok()) return log.error();
  Innovations innovations(plan.config.twins[job.twin], job, what, regimes);
  innovations.pass_over(passed_over);
  const auto replayed = replay_log(plan, job.twin, log.value(), job.tags, innovations, rows);
  if (!replayed.ok()) return replayed.error();
  return Passed{replayed.value().rows, innovations.tested(), innovations.newest()};
}

// Of the outputs' robust variances, the one in the middle.
double common_variance(const std::vector<RegimeRows>& regimes) {
  std::vector<double> variances;
  for (const RegimeRows& rows : regimes) {
    for (const auto& z : rows.z) {
      const auto count = std::count_if(z.begin(), z.end(), [](double v) { return !std::isnan(v); });
      if (static_cast<std::size_t>(count) < identification::kLeastRows) continue;
      const double scale = identification::robust_scale(z);
      if (scale > 0.0) variances.push_back(scale * scale);
    }
  }
  return variances.empty() ? 1.0 : identification::median(std::move(variances));
}

void multiply(std::optional<model::Rows>& rows, double factor) {
  if (!rows) return;
  for (auto& row : *rows) {
    for (double& value : row) value *= factor;
  }
}

// √((N + d) / (N − d)) with d parameters to an output.
double widening_of(const model::ModelSettings& model, std::uint64_t rows) {
  const auto n_x = static_cast<double>(model.states.size());
  const auto n_u = static_cast<double>(model.inputs.size());
  const auto n_y = static_cast<double>(std::max<std::size_t>(model.outputs.size(), 1));
  const double parameters = (n_x * (n_u + 2.0 * n_y) + n_u * n_y) / n_y;
  const auto n = static_cast<double>(rows);
  if (n <= 2.0 * parameters) return 2.0;
  return std::max(kLeastWidening, std::sqrt((n + parameters) / (n - parameters)));
}

std::string figure(double value) { return base::formatted("%.3g", value); }

// What healthy rows have shown of augmented states is what is usual: they begin there, and deviate from there. What the
// rows have not told more of than was known is left.
std::vector<UsualState> take_usual(model::ModelSettings& model, const estimation::TwinStep& newest) {
  constexpr double kTold = 0.5;
  std::vector<UsualState> told;
  if (newest.x.size() < model.augment.size()) return told;
  std::size_t at = newest.x.size() - model.augment.size();
  for (model::AugmentSettings& one : model.augment) {
    const double value = newest.x[at];
    const double std = newest.std[at++];
    if (!one.initial || !one.initial_std || !(std < kTold * *one.initial_std)) continue;
    told.push_back({model::augmented_name(one), *one.initial, value, std});
    one.initial = value;
  }
  return told;
}

void tell_sensors(const SensorReset& sensors, std::vector<std::string>& lines) {
  lines.push_back("after maintenance: the dynamics and the process noise stay");
  for (const SensorReset::Output& output : sensors.outputs) {
    lines.push_back("  " + output.name + ": " +
                    (output.offset == 0.0
                         ? std::string("offset unchanged")
                         : "offset " + figure(output.offset) + (output.unit.empty() ? "" : " ") + output.unit) +
                    ", noise times " + figure(std::sqrt(output.noise_factor)));
  }
  if (!sensors.offsets_left.empty()) lines.push_back("  offsets are left: " + sensors.offsets_left);
}

// By fold: the model of the rows of all others.
base::Result<std::vector<model::ModelSettings>> refitted_models(const CalibrationJob& job,
                                                                const std::vector<logs::RowRange>& folds) {
  std::vector<model::ModelSettings> models;
  for (std::size_t fold = 0; fold < folds.size(); ++fold) {
    std::vector<logs::RowRange> others;
    for (std::size_t other = 0; other < folds.size(); ++other) {
      if (other != fold) others.push_back(folds[other]);
    }
    tell_step(job, "refit " + std::to_string(fold + 1) + " of " + std::to_string(folds.size()));
    auto model = job.refit(others);
    if (!model.ok()) return model.error();
    models.push_back(std::move(model).value());
  }
  return models;
}

// What the rows of each fold show to the model of all others.
base::Result<std::vector<RegimeRows>> held_out_rows(const CalibrationJob& job, const std::vector<logs::RowRange>& folds,
                                                    const std::vector<model::ModelSettings>& models) {
  std::vector<RegimeRows> regimes;
  for (std::size_t fold = 0; fold < folds.size(); ++fold) {
    Plan plan = job.plan;
    plan.config.twins[job.twin].model = models[fold];
    rebuild_model(plan, job.twin);
    // The rows before a block are there for the state only, which takes 2 n of them to be estimated at all.
    const std::size_t settles = 8 * std::max<std::size_t>(models[fold].states.size(), 10);
    const std::size_t before = std::min(folds[fold].begin - job.rows.begin, settles);
    const std::string what = "block " + std::to_string(fold + 1) + " of " + std::to_string(folds.size());
    const auto passed = pass(plan, job, {folds[fold].begin - before, folds[fold].end}, what, regimes, before);
    if (!passed.ok()) return passed.error();
  }
  return regimes;
}

}  // namespace

std::vector<logs::RowRange> blocked_folds(std::size_t begin, std::size_t end, std::size_t folds) {
  std::vector<logs::RowRange> out;
  const std::size_t rows = end - begin;
  for (std::size_t i = 0; i < folds; ++i) {
    out.push_back({begin + i * rows / folds, begin + (i + 1) * rows / folds});
  }
  return out;
}

void scale_noise(model::ModelSettings& model, double factor) {
  for (auto* rows : {&model.noise.Q, &model.noise.R, &model.noise.S, &model.noise.Ry}) multiply(*rows, factor);
  for (model::OutputSettings& output : model.outputs) {
    if (!output.noise_std) continue;
    const double floor = output.resolution ? *output.resolution * *output.resolution / 12.0 : 0.0;
    const double variance = factor * (*output.noise_std * *output.noise_std + floor) - floor;
    if (variance > 0.0) {
      output.noise_std = std::sqrt(variance);
    } else if (model.noise.R) {
      output.noise_std.reset();
    } else {
      output.noise_std = 0.0;
    }
  }
  for (model::AugmentSettings& one : model.augment) {
    if (one.noise_density) *one.noise_density *= std::sqrt(factor);
    if (one.std) *one.std *= std::sqrt(factor);
  }
}

base::Result<bool> made_the_model(const std::string& provenance, const std::string& log_file,
                                  const logs::RowRange& rows) {
  using Json = nlohmann::json;
  const Json tree = Json::parse(provenance.empty() ? "{}" : provenance, nullptr, false);
  if (!tree.is_object() || !tree.contains("data") || !tree["data"].is_object()) return false;
  const Json& data = tree["data"];
  const auto text = [&](const char* key) {
    return data.contains(key) && data[key].is_string() ? data[key].get<std::string>() : std::string();
  };
  const std::string hash = text("hash");
  const auto made_of = parse_rows(text("rows"));
  if (hash.empty() || !made_of) return false;
  const auto same = [&](const logs::RowRange& range) -> base::Result<bool> {
    auto log = logs::LogReader::open(log_file);
    if (!log.ok()) return log.error();
    const auto& all = log.value().columns();
    std::array<ColumnOfSignal, 2> columns;
    for (std::size_t side = 0; side < 2; ++side) {
      const char* key = side == 0 ? "inputs" : "outputs";
      if (!data.contains(key) || !data[key].is_array()) continue;
      for (const Json& name : data[key]) {
        if (!name.is_string() || !columns[side].emplace_back(column_named(all, name.get<std::string>()))) return false;
      }
    }
    const auto there = hash_of_rows(log.value(), range, columns[0], columns[1]);
    if (there.ok()) return there.value() == hash;
    if (there.error().code() == base::ErrorCode::invalid_argument) return false;  // a shorter log
    return there.error();
  };
  const bool apart = (rows.end && *rows.end <= made_of->begin) || (made_of->end && *made_of->end <= rows.begin);
  if (!apart) {
    const auto there = same(*made_of);
    if (!there.ok() || there.value()) return there;
  }
  return same(rows);  // the same rows cut out of a longer log
}

base::Result<CalibrationOutcome> calibrate_twin(CalibrationJob job) {
  CalibrationOutcome out;
  config::TwinConfig& twin = job.plan.config.twins[job.twin];
  twin.diagnosis.calibration = {};
  const auto gate = twin.diagnosis.gate;
  const bool isolates = twin.diagnosis.isolation.enabled;

  twin.diagnosis.gate.reset();
  twin.diagnosis.isolation.enabled = false;  // the rows are healthy: every sensor is fused
  std::vector<RegimeRows> regimes;
  if (job.after_maintenance) {
    job.refit = nullptr;
    auto reset = reset_sensors(job.plan, job.twin, [&]() -> base::Result<std::vector<RegimeRows>> {
      std::vector<RegimeRows> rows;
      const auto passed = pass(job.plan, job, job.rows, "sensors", rows);
      if (!passed.ok()) return passed.error();
      return rows;
    });
    if (!reset.ok()) return reset.error();
    out.sensors = std::move(reset).value();
  }
  const auto ungated = pass(job.plan, job, job.rows, "noise", regimes);
  if (!ungated.ok()) return ungated.error();
  out.rows = ungated.value().rows;
  out.steps_tested = ungated.value().tested;
  const std::size_t end = job.rows.begin + static_cast<std::size_t>(out.rows);
  const auto folds = blocked_folds(job.rows.begin, end, kRefitFolds);
  std::vector<model::ModelSettings> models;  // by fold
  if (job.rows_made_the_model && job.refit != nullptr) {
    auto refitted = refitted_models(job, folds);
    if (refitted.ok()) {
      models = std::move(refitted).value();
      auto held_out = held_out_rows(job, folds, models);
      if (!held_out.ok()) return held_out.error();
      regimes = std::move(held_out).value();
      out.refitted = true;
    } else {
      out.why_not_refitted = refitted.error().message();
    }
  }
  const double variance = out.sensors ? 1.0 : common_variance(regimes);
  if (variance > kNoiseTolerance || variance * kNoiseTolerance < 1.0) {
    out.noise_factor = variance;
    scale_noise(twin.model, variance);
    rebuild_model(job.plan, job.twin);
  }

  twin.diagnosis.gate = gate;
  regimes.clear();
  if (out.refitted) {
    // A refitted model says of itself what its noise is: what the factor does to the model it does to it.
    for (auto& model : models) scale_noise(model, out.noise_factor);
    auto held_out = held_out_rows(job, folds, models);
    if (!held_out.ok()) return held_out.error();
    regimes = std::move(held_out).value();
  } else {
    const auto gated = pass(job.plan, job, job.rows, "limits", regimes);
    if (!gated.ok()) return gated.error();
    out.usual = take_usual(twin.model, gated.value().newest);
  }

  identification::CalibrationRequest request;
  request.settings = twin.diagnosis;
  for (const auto& output : twin.model.outputs) request.outputs.push_back(output.name);
  request.period = twin.period;
  request.false_alarms_per_day = job.false_alarms_per_day;
  if (job.rows_made_the_model && !out.refitted) out.widening = request.widening = widening_of(twin.model, out.rows);
  request.held_out_blocks = out.refitted;
  tell_step(job, "limits");
  out.figures = identification::calibrate(regimes, request);
  for (const RegimeRows& rows : regimes) {
    const bool found = std::any_of(out.figures.begin(), out.figures.end(),
                                   [&](const auto& one) { return one.limits.name == rows.name; });
    if (!found) out.too_short.push_back(rows.name);
  }
  if (out.figures.empty()) {
    return base::Error(base::ErrorCode::invalid_argument,
                       job.log_file + ": fewer than " + std::to_string(identification::kLeastRows) +
                           " rows in which the twin is tested (" + std::to_string(out.steps_tested) +
                           "): nothing can be calibrated");
  }
  twin.diagnosis.calibration = identification::calibration_of(out.figures, request);
  twin.diagnosis.isolation.enabled = isolates;
  out.diagnosis = twin.diagnosis;
  out.model = twin.model;
  ++out.model.version;
  return out;
}

std::vector<std::string> told_of(const CalibrationOutcome& outcome, const CalibrationJob& job) {
  std::vector<std::string> lines;
  if (job.rows_made_the_model) {
    lines.push_back(outcome.refitted
                        ? "these rows made the model: limits are from " + std::to_string(kRefitFolds) +
                              " cross-refits, each judged on the block it was not fitted to"
                        : "these rows made the model: limits are from the training rows, widened by " +
                              figure(outcome.widening) +
                              (outcome.why_not_refitted.empty() ? "" : " (" + outcome.why_not_refitted + ")") +
                              "; calibrate again with rows the model has not seen");
  }
  if (outcome.sensors) tell_sensors(*outcome.sensors, lines);
  if (outcome.noise_factor != 1.0) {
    lines.push_back("noise: all covariances of the model times " + figure(outcome.noise_factor) +
                    ": the innovations are " + figure(std::sqrt(outcome.noise_factor)) +
                    " times as large as it said; gains stay as they are");
  }
  for (const UsualState& state : outcome.usual) {
    lines.push_back(state.name + " begins at " + figure(state.value) + " ± " + figure(state.std) + ", " +
                    figure(state.before) + " before: what is usual in these rows");
  }
  for (const auto& one : outcome.figures) {
    const auto& limits = one.limits;
    lines.push_back("regime " + limits.name + ": " + figure(limits.hours) + " h of evidence; false alarms nominal " +
                    figure(limits.nominal_per_day) + " a day, observed " + std::to_string(limits.false_alarms) +
                    " (at most " + figure(one.at_most_per_day) + " a day at 95 %)" +
                    (one.extrapolated ? "; beyond the evidence, extrapolated" : ""));
    for (std::size_t i = 0; i < limits.outputs.size(); ++i) {
      const auto& output = limits.outputs[i];
      const auto& figures = one.outputs[i];
      lines.push_back("  " + output.name + ": scale " + figure(output.scale) + ", autocorrelation " +
                      figure(figures.memory.first) + ", blocks of " + std::to_string(output.block) + "; limits cusum " +
                      figure(output.cusum) + " (largest " + figure(figures.largest_cusum) + "), slow_drift " +
                      figure(output.slow_drift) + " (" + figure(figures.largest_slow_drift) + "), noise " +
                      figure(output.noise_low) + " … " + figure(output.noise_high));
      constexpr double kFarOff = 0.5;
      if (std::abs(figures.offset) > kFarOff) {
        lines.push_back("  warning: " + output.name + " stays " + figure(figures.offset) +
                        " standard deviations off what the model expects: its limits are wide for that; correct the "
                        "model or estimate a sensor_bias");
      }
    }
    lines.push_back("  nis limit " + figure(limits.nis) + " (largest " + figure(one.largest_nis) + ")");
    for (const auto& level : one.drifting) {
      lines.push_back("  regime not covered: " + level.output +
                      " drifts in these rows, so they tell no level of it; beyond " + figure(level.low) + " … " +
                      figure(level.high) + " the machine is where these limits have not been");
    }
    for (const auto& name : one.left_out) lines.push_back("  not_calibrated: " + name + ": too few rows");
  }
  for (const auto& name : outcome.too_short) lines.push_back("not_calibrated: regime " + name + ": too few rows");
  return lines;
}

std::string calibrated_model_file(const CalibrationOutcome& outcome, const std::string& provenance,
                                  const std::string& log_file, const std::string& rows, base::WallTime now) {
  using Json = nlohmann::ordered_json;
  Json tree = provenance.empty() ? Json::object() : Json::parse(provenance, nullptr, false);
  if (!tree.is_object()) tree = Json::object();
  Json& done = tree["calibration"];
  done = Json::object();
  done["log"] = std::filesystem::path(log_file).filename().string();
  done["rows"] = rows;
  done["date"] = base::format_rfc3339(now);
  done["noise_factor"] = outcome.noise_factor;
  done["cross_refits"] = outcome.refitted;
  done["widening"] = outcome.widening;
  if (outcome.sensors) {
    for (const SensorReset::Output& output : outcome.sensors->outputs) {
      done["after_maintenance"][output.name] = {{"offset", output.offset}, {"noise_factor", output.noise_factor}};
    }
  }
  return config::model_file_text(outcome.model, config::diagnosis_tree(outcome.diagnosis), tree);
}

}  // namespace twinkeeper::app
