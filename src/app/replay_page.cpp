#include "app/replay_page.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/replay_fits.hpp"
#include "app/report_parts.hpp"
#include "app/version.hpp"
#include "base/formatted.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using Eigen::Index;
using estimation::Mode;
using logs::ReportCell;
using logs::Tone;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kBandStds = 3.0;

bool has_settled(Mode mode) { return mode == Mode::tracking || mode == Mode::degraded || mode == Mode::predict_only; }

// Those of a model out of a log, x1 … xn, mean nothing to anybody.
std::size_t states_shown(const model::StateSpace& model) {
  constexpr std::size_t kMostStates = 24;
  std::size_t number = 0;
  const bool named = std::any_of(model.states.begin(), model.states.end(),
                                 [&](const auto& state) { return state.name != "x" + std::to_string(++number); });
  return named ? std::min(model.states.size(), kMostStates) : 0;
}

}  // namespace

ReplayPage::ReplayPage(const Plan& plan, std::size_t twin, bool judged)
    : twin_(plan.config.twins[twin]),
      model_(plan.models[twin]),
      judged_(judged),
      n_x_(states_shown(model_)),
      n_u_(model_.inputs.size()),
      n_y_(model_.outputs.size()),
      rows_(kOfOutput * n_y_ + 1 + n_u_ + kOfState * n_x_,
            report_rows_for((kOfOutput + 1) * n_y_ + 1 + n_u_ + kOfState * n_x_)),
      values_(kOfOutput * n_y_ + 1 + n_u_ + kOfState * n_x_),
      u_(n_u_),
      y_(n_y_),
      expected_(n_y_),
      errors_(n_y_) {}

void ReplayPage::row(std::string_view time_text, std::int64_t tick, const estimation::TwinStep& step, bool anomaly) {
  if (first_time_.empty()) first_time_ = time_text;
  if (tick <= newest_tick_) return;  // one more row of the tick, or one that goes back
  newest_tick_ = tick;
  ++rows_taken_;
  const bool kept = rows_taken_ <= kMostRowsSimulated;
  const bool counts = has_settled(step.mode) && !step.tests_held && !(anomaly && judged_);
  std::size_t at = 0;
  for (std::size_t i = 0; i < n_y_; ++i) {
    const estimation::OutputStep& output = step.outputs[i];
    const double measured = output.fresh ? output.measured : kNone;
    values_[at++] = measured;
    values_[at++] = output.expected;
    values_[at++] = kBandStds * output.std;
    values_[at++] = output.std > 0.0 ? output.innovation / output.std : kNone;
    if (!kept) continue;
    y_[i].push_back(output.quality == signals::Quality::bad ? kNone : measured);
    expected_[i].push_back(output.expected);
    errors_[i].push_back(counts ? output.innovation : kNone);
  }
  values_[at++] = step.nis_dof > 0 ? step.nis / step.nis_dof : kNone;
  for (std::size_t j = 0; j < n_u_; ++j) {
    values_[at++] = step.inputs[j].value;
    if (kept) u_[j].push_back(step.inputs[j].value);
  }
  for (std::size_t s = 0; s < n_x_; ++s) {
    values_[at++] = step.x[s];
    values_[at++] = kBandStds * step.std[s];
  }
  rows_.add(tick, values_);
  if (kept) ticks_.push_back(tick);
}

void ReplayPage::anomaly(const diagnosis::AnomalyEvent& event) {
  using diagnosis::AnomalyEventKind;
  if (!judged_) return;
  if (event.event == AnomalyEventKind::raised) {
    if (alarms_.size() >= kMostAlarmsListed) {
      ++alarms_not_listed_;
      return;
    }
    alarms_.push_back({event, std::nullopt});
    return;
  }
  if (event.event != AnomalyEventKind::cleared && event.event != AnomalyEventKind::changed) return;
  for (auto alarm = alarms_.rbegin(); alarm != alarms_.rend(); ++alarm) {
    if (alarm->raised.id != event.id || alarm->cleared) continue;
    if (event.event == AnomalyEventKind::cleared) {
      alarm->cleared = event.time;
    } else {  // what it knows by now
      const base::Instant raised_at = alarm->raised.time;
      alarm->raised = event;
      alarm->raised.time = raised_at;
    }
    return;
  }
}

double ReplayPage::seconds(base::Instant instant) const {
  return std::chrono::duration<double>(instant - base::Instant{}).count();
}

identification::Record ReplayPage::record() const {
  identification::Record out;
  out.tick = ticks_;
  const auto matrix_of = [&](const std::vector<std::vector<double>>& columns) {
    Eigen::MatrixXd matrix(static_cast<Index>(ticks_.size()), static_cast<Index>(columns.size()));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      for (std::size_t row = 0; row < ticks_.size(); ++row) {
        matrix(static_cast<Index>(row), static_cast<Index>(c)) = columns[c][row];
      }
    }
    return matrix;
  };
  out.u = matrix_of(u_);
  out.y = matrix_of(y_);
  return out;
}

logs::ReportTable ReplayPage::fits(const Eigen::MatrixXd& simulated) const {
  const std::size_t half = ticks_.size() / 2;
  const LagsFit lags = fit_of_lags(record());
  const bool has_inputs = n_u_ > 0;
  const std::string name = has_inputs ? "ARX(10,10)" : "VAR(10)";
  logs::ReportTable table;
  table.caption = "Fit on the second half of the rows";
  table.columns = {"Output", "1 step ahead", "persistence", name + " 1 step"};
  if (has_inputs) table.columns.insert(table.columns.end(), {"Simulation", name + " simulation"});
  for (std::size_t i = 0; i < n_y_; ++i) {
    std::vector<double> before(ticks_.size(), kNone);
    for (std::size_t row = 1; row < ticks_.size(); ++row) {
      if (ticks_[row] == ticks_[row - 1] + 1) before[row] = y_[i][row - 1];
    }
    std::vector<double> free(ticks_.size(), kNone);
    for (Index row = 0; row < simulated.rows(); ++row) {
      free[static_cast<std::size_t>(row)] = simulated(row, static_cast<Index>(i));
    }
    const double one_step = fit_of(y_[i], expected_[i], half);
    const double persistence = fit_of(y_[i], before, half);
    const auto of_lags = [&](const std::vector<double>& fits) { return i < fits.size() ? fits[i] : kNone; };
    std::vector<ReportCell> row{model_.outputs[i].name,
                                {percent_figure(one_step), one_step > persistence ? Tone::good : Tone::warning},
                                percent_figure(persistence),
                                percent_figure(of_lags(lags.one_step))};
    if (has_inputs) {
      row.emplace_back(percent_figure(fit_of(y_[i], free, half)));
      row.emplace_back(percent_figure(of_lags(lags.simulation)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

int ReplayPage::write(const std::string& file, const Told& told_of) {
  rows_.finish();
  const bool kept = rows_taken_ <= kMostRowsSimulated;
  logs::ReportPage page;
  page.title =
      "Twin " + twin_.name + ", " + told_of.title + " " + std::filesystem::path(told_of.log_file).filename().string();
  page.subtitle = "twinkeeper " + std::string(kVersion) + " " + told_of.command + ", " +
                  base::format_rfc3339(std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now()));
  const std::size_t count = alarms_.size() + alarms_not_listed_;
  const auto standing = std::count_if(alarms_.begin(), alarms_.end(), [](const Alarm& one) { return !one.cleared; });
  if (!judged_) {
    page.verdict = {Tone::plain, "The model has no diagnosis: ungated, no anomaly is told."};
  } else if (count == 0) {
    page.verdict = {Tone::good, "No alarm in these rows."};
  } else {
    page.verdict = {standing > 0 ? Tone::bad : Tone::warning,
                    std::to_string(count) + (count == 1 ? " alarm" : " alarms") + " raised, " +
                        std::to_string(standing) + " standing at the end; " +
                        std::to_string(told_of.summary.rows_with_anomaly) + " of " +
                        std::to_string(told_of.summary.rows) + " rows with an anomaly."};
  }
  page.notes = told_of.notes;
  const auto& summary = told_of.summary;
  page.facts = {{"Log", std::filesystem::path(told_of.log_file).filename().string() +
                            (told_of.rows.empty() ? "" : ", rows " + told_of.rows)},
                {"Rows", std::to_string(summary.rows) + ", " + std::to_string(summary.steps) + " steps"},
                {"Samples", std::to_string(summary.samples) + ", " + std::to_string(summary.samples_bad) + " bad"},
                {"Sample time", base::formatted("%.6g s", model_.sample_time)},
                {"Model", model_.name + ", version " + std::to_string(model_.version) + ", " +
                              std::to_string(model_.n_x()) + " states"}};
  if (told_of.command == "replay") page.facts.emplace_back("Hash of the model", model_.hash);
  page.period = model_.sample_time;
  page.dates = dates_ = told_of.dates;
  if (told_of.dates) {
    if (const auto first = base::parse_log_time(first_time_)) zero_ = first->time_since_epoch();
  } else {
    zero_ = std::chrono::nanoseconds{std::llround(std::strtod(first_time_.c_str(), nullptr) * 1e9)};
  }
  page.zero = zero_;

  Eigen::MatrixXd simulated;
  if (kept && n_u_ > 0) {
    using identification::Start;
    const auto free = identification::compare(model_, record(), std::nullopt, Start::estimate);
    if (free.ok()) simulated = free.value().predicted;
  }
  page.sections = told_of.first;
  page.sections.push_back(alarms_section());
  logs::ReportSection rows = outputs_section(simulated.rows() > 0);
  if (kept) {
    rows.parts.insert(rows.parts.begin() + 1, fits(simulated));
    rows.parts.insert(
        rows.parts.begin() + 2,
        "Fit is 100 · (1 − |y − ŷ| / |y − mean(y)|). Persistence says that the value stays as it is; the ARX "
        "model was fitted to the first half. Faults in the rows count against all of them.");
    logs::ReportRows more(n_y_, report_rows_for(values_.size() + n_y_));
    std::vector<double> one(n_y_, kNone);
    for (std::size_t row = 0; row < ticks_.size() && simulated.rows() > 0; ++row) {
      for (std::size_t i = 0; i < n_y_; ++i) one[i] = simulated(static_cast<Index>(row), static_cast<Index>(i));
      more.add(ticks_[row], one);
    }
    more.finish();
    rows_.append(more);
  } else {
    page.notes.push_back({Tone::plain, "The log has more than " + std::to_string(kMostRowsSimulated) +
                                           " rows: simulation, fits and tests of the innovations are left out. "
                                           "compare --rows judges parts of it."});
  }
  page.sections.push_back(std::move(rows));
  page.sections.push_back(innovations_section(kept));
  if (n_x_ > 0) page.sections.push_back(states_section());
  page.sections.push_back(dynamics_section(model_));
  const auto written = logs::write_report(file, page, rows_);
  return written.ok() ? kExitDone : told(written.error().message(), kExitIo);
}

}  // namespace twinkeeper::app
