#include "app/identify_page.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "app/exit_codes.hpp"
#include "app/identification_report.hpp"
#include "app/log_columns.hpp"
#include "app/report_parts.hpp"
#include "app/version.hpp"
#include "base/formatted.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using Eigen::Index;
using logs::LineStyle;
using logs::ReportCell;
using logs::Tone;

constexpr std::size_t kCandidatesOnPage = 12;

struct OnRows {                          // what the refitted model says of the rows themselves
  Eigen::MatrixXd simulated, predicted;  // rows × n_y
  Eigen::MatrixXd errors;                // of one step; NaN: not scored
  std::vector<identification::OutputScore> simulation, one_step;
};

OnRows on_rows(const IdentifyPage& content) {
  const auto& record = content.log.resampled->record;
  OnRows out;
  out.simulated = Eigen::MatrixXd::Constant(record.y.rows(), record.y.cols(), std::nan(""));
  out.predicted = out.errors = out.simulated;
  const identification::OutputScore unknown{0, std::nan(""), std::nan(""), std::nan("")};
  out.simulation.assign(content.model.outputs.size(), unknown);
  out.one_step = out.simulation;
  using identification::Start;
  const auto simulated = identification::compare(content.model, record, std::nullopt, Start::estimate);
  if (simulated.ok()) {
    out.simulated = simulated.value().predicted;
    out.simulation = simulated.value().scores;
  }
  const auto predicted = identification::compare(content.model, record, 1, Start::estimate);
  if (!predicted.ok()) return out;
  out.predicted = predicted.value().predicted;
  out.one_step = predicted.value().scores;
  for (Index row = 0; row < out.errors.rows(); ++row) {
    if (predicted.value().scored[static_cast<std::size_t>(row)])
      out.errors.row(row) = record.y.row(row) - out.predicted.row(row);
  }
  return out;
}

// A fit, marked where nothing at all would do as well.
ReportCell beside(double fit, double floor) {
  return {percent_figure(fit), !std::isfinite(fit) || !std::isfinite(floor) ? Tone::plain
                               : fit > floor                                ? Tone::good
                                                                            : Tone::warning};
}

logs::ReportSection fits_section(const IdentifyPage& content) {
  const auto& found = content.found;
  const bool has_inputs = content.model.n_u() > 0;
  logs::ReportSection section{"fits", "How well it fits", {}};
  section.parts.emplace_back(
      "Fit is 100 · (1 − |y − ŷ| / |y − mean(y)|), judged on rows that were not fitted: the mean of a model of the "
      "first "
      "70 % of the record, judged on the rest, and one of the last 70 %. Persistence says that the value stays as it "
      "is; "
      "a model that is no better one step ahead knows nothing.");
  logs::ReportTable table;
  table.caption = "Fit on rows that were not fitted";
  table.columns = {"Output"};
  const std::string lags = has_inputs ? "ARX(10,10)" : "VAR(10)";
  if (has_inputs) table.columns.insert(table.columns.end(), {"Simulation", lags + " simulation"});
  table.columns.insert(table.columns.end(),
                       {"1 step ahead", "persistence", lags + " 1 step", "10 steps ahead", "persistence 10 steps"});
  for (std::size_t i = 0; i < found.outputs.size(); ++i) {
    const auto& one = found.outputs[i];
    std::vector<ReportCell> row{content.model.outputs[i].name};
    if (has_inputs) {
      row.push_back(beside(one.simulation, 0.0));
      row.emplace_back(percent_figure(one.arx_simulation));
    }
    row.push_back(beside(one.one_step, one.persistence_one));
    row.emplace_back(percent_figure(one.persistence_one));
    row.emplace_back(percent_figure(one.arx_one_step));
    row.push_back(beside(one.ten_steps, one.persistence_ten));
    row.emplace_back(percent_figure(one.persistence_ten));
    table.rows.push_back(std::move(row));
  }
  section.parts.emplace_back(std::move(table));

  logs::ReportTable candidates;
  candidates.caption = "Candidates by their fit on rows that were not fitted";
  candidates.columns = {"Kind", "Order", "Mean", "last 30 %", "first 30 %", "last half", "first half"};
  for (std::size_t i = 0; i < std::min(kCandidatesOnPage, found.candidates.size()); ++i) {
    const auto& one = found.candidates[i];
    const bool taken = one.kind == found.kind && one.order == found.order;
    std::vector<ReportCell> row{one.kind + (taken ? " (taken)" : ""),
                                std::to_string(one.order),
                                {percent_figure(one.mean), taken ? Tone::good : Tone::plain}};
    for (const double fold : one.folds) row.emplace_back(percent_figure(fold));
    while (row.size() < candidates.columns.size()) row.emplace_back("–");
    candidates.rows.push_back(std::move(row));
  }
  if (!candidates.rows.empty()) section.parts.emplace_back(std::move(candidates));
  return section;
}

// Columns of the page's rows: by output measured, predicted, simulated, error; then inputs.
constexpr std::size_t kOfOutput = 4;

logs::ReportSection rows_section(const IdentifyPage& content, const OnRows& on) {
  const auto& model = content.model;
  const bool has_inputs = model.n_u() > 0;
  logs::ReportSection section{"rows", "Measured, simulated, predicted", {}};
  section.parts.emplace_back(
      "What the model, fitted to all of these rows, says of them. Simulated: from the inputs alone, nothing measured "
      "but "
      "the first rows for a start. One step ahead: from all that was measured before.");
  logs::ReportTable table;
  table.caption = "Fit on these rows, which the model was fitted to";
  table.columns = {"Output", "Simulation", "1 step ahead", "Standard deviation of its error"};
  if (!has_inputs) table.columns.erase(table.columns.begin() + 1);
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    const auto& output = model.outputs[i];
    std::vector<ReportCell> line{output.name};
    if (has_inputs) line.emplace_back(percent_figure(on.simulation[i].fit));
    line.emplace_back(percent_figure(on.one_step[i].fit));
    line.emplace_back(base::formatted("%.4g", on.one_step[i].rmse) + (output.unit.empty() ? "" : " " + output.unit));
    table.rows.push_back(std::move(line));
  }
  section.parts.emplace_back(std::move(table));
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    logs::TimePlot plot;
    plot.title = model.outputs[i].name;
    plot.unit = model.outputs[i].unit;
    const std::size_t at = kOfOutput * i;
    plot.lines = {{"measured", LineStyle::measured, at}, {"one step ahead", LineStyle::predicted, at + 1}};
    if (has_inputs) plot.lines.push_back({"simulated", LineStyle::simulated, at + 2});
    section.parts.emplace_back(std::move(plot));
  }
  for (std::size_t j = 0; j < model.inputs.size(); ++j) {
    logs::TimePlot plot;
    plot.title = "Input " + model.inputs[j].name;
    plot.unit = model.inputs[j].unit;
    plot.tall = false;
    plot.lines = {{"input", LineStyle::input, kOfOutput * model.outputs.size() + j}};
    section.parts.emplace_back(std::move(plot));
  }
  return section;
}

logs::ReportSection residual_section(const IdentifyPage& content) {
  logs::ReportSection section{"residuals", "Residuals one step ahead", {}};
  for (std::size_t i = 0; i < content.model.outputs.size(); ++i) {
    logs::TimePlot plot;
    plot.title = "Residual of " + content.model.outputs[i].name;
    plot.unit = content.model.outputs[i].unit;
    plot.tall = false;
    plot.lines = {{"measured − one step ahead", LineStyle::residual, kOfOutput * i + 3}};
    section.parts.emplace_back(std::move(plot));
  }
  add_residual_tests(content.model, content.found.residuals, section);
  return section;
}

DynamicsUncertainty uncertainty_of(const IdentifyPage& content) {
  DynamicsUncertainty out;
  const auto& known = content.found.uncertainty;
  out.gain_std = known.gain_std;
  for (const auto& pole : known.poles) {
    const double std = pole.time_constant_std * content.model.sample_time;
    out.pole_stds.push_back(std::isfinite(std) ? std::optional<double>(std) : std::nullopt);
  }
  return out;
}

// Parameters of a template, and what a model is worth beside the one that it is to replace.
void add_parameters(const IdentifyPage& content, logs::ReportSection& section) {
  if (!content.found.parameters.empty()) {
    logs::ReportTable table;
    table.caption = "Parameters of the template, with standard deviations";
    table.columns = {"Parameter", "Found", "Standard deviation", "Start", "Unit"};
    for (const auto& one : content.found.parameters) {
      ReportCell std{base::formatted("%.2g", one.std)};
      if (one.bound != 0) std = {one.bound < 0 ? "at its lower bound" : "at its upper bound", Tone::warning};
      if (!one.identifiable) std = {"the record does not tell it", Tone::warning};
      table.rows.push_back({one.name, base::formatted("%.5g", one.value), std, base::formatted("%.5g", one.start),
                            one.unit.empty() ? "–" : one.unit});
    }
    section.parts.emplace_back(std::move(table));
  }
  if (!content.found.replaced) return;
  const auto& replaced = *content.found.replaced;
  logs::ReportTable table;
  table.caption = "Beside the model that it replaces, on the last 30 % of the rows";
  table.columns = {"Output", "1 step ahead", "old 1 step"};
  const bool simulated = !replaced.new_simulation.empty();
  if (simulated) table.columns.insert(table.columns.end(), {"Simulation", "old simulation"});
  for (std::size_t i = 0; i < replaced.new_one_step.size(); ++i) {
    std::vector<ReportCell> row{content.model.outputs[i].name,
                                beside(replaced.new_one_step[i], replaced.old_one_step[i]),
                                percent_figure(replaced.old_one_step[i])};
    if (simulated) {
      row.push_back(beside(replaced.new_simulation[i], replaced.old_simulation[i]));
      row.emplace_back(percent_figure(replaced.old_simulation[i]));
    }
    table.rows.push_back(std::move(row));
  }
  section.parts.emplace_back(std::move(table));
}

logs::ReportRows page_rows(const IdentifyPage& content, const OnRows& on) {
  const auto& record = content.log.resampled->record;
  const auto n_y = static_cast<std::size_t>(record.y.cols());
  const auto n_u = static_cast<std::size_t>(record.u.cols());
  const std::size_t columns = kOfOutput * n_y + n_u;
  logs::ReportRows rows(columns, report_rows_for(columns));
  std::vector<double> values(columns);
  for (Index row = 0; row < record.y.rows(); ++row) {
    for (std::size_t i = 0; i < n_y; ++i) {
      const auto output = static_cast<Index>(i);
      values[kOfOutput * i] = record.y(row, output);
      values[kOfOutput * i + 1] = on.predicted(row, output);
      values[kOfOutput * i + 2] = on.simulated(row, output);
      values[kOfOutput * i + 3] = on.errors(row, output);
    }
    for (std::size_t j = 0; j < n_u; ++j) values[kOfOutput * n_y + j] = record.u(row, static_cast<Index>(j));
    rows.add(record.tick[static_cast<std::size_t>(row)], values);
  }
  rows.finish();
  return rows;
}

std::string named(const std::vector<model::Signal>& signals) {
  std::vector<std::string> names;
  for (const auto& signal : signals) names.push_back(with_unit(signal.name, signal.unit));
  return names.empty() ? "none: a time series" : join(names);
}

logs::ReportNote verdict_of(const identification::Identified& found) {
  using identification::Verdict;
  std::string text = "Verdict: ";
  text += name_of(found.verdict);
  if (found.verdict == Verdict::accept) text += ". The model holds on rows that it was not fitted to.";
  if (found.verdict == Verdict::prediction_only) text += ": for a filter, not for forecasts or simulation.";
  if (found.verdict == Verdict::reject) text += ": no model was written.";
  for (const auto& reason : found.reasons) text += "\n" + reason;
  return {found.verdict == Verdict::accept   ? Tone::good
          : found.verdict == Verdict::reject ? Tone::bad
                                             : Tone::warning,
          text};
}

}  // namespace

int write_identify_page(const std::string& file, const IdentifyPage& content) {
  const auto& found = content.found;
  const auto& model = content.model;
  logs::ReportPage page;
  page.title = "Model " + model.name + ", identified from a log";
  page.subtitle = "twinkeeper " + std::string(kVersion) + " identify, " +
                  base::format_rfc3339(std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now()));
  page.verdict = verdict_of(found);
  for (const auto& warning : found.warnings) page.notes.push_back({Tone::warning, warning});
  const auto& cut = content.cut;
  std::string used = std::to_string(cut.ticks - cut.ticks_lost) + " of " + std::to_string(cut.ticks) + ", in " +
                     std::to_string(cut.experiments.size()) + (cut.experiments.size() == 1 ? " stretch" : " stretches");
  if (cut.filled > 0.0) used += "; up to " + percent_figure(100.0 * cut.filled) + " of a signal filled";
  page.facts = {{"Log", std::filesystem::path(content.log.survey.file).filename().string() + ", rows " + content.rows},
                {"Samples used", used},
                {"Sample time", base::formatted("%.6g s", model.sample_time)},
                {"Inputs", named(model.inputs)},
                {"Outputs", named(model.outputs)},
                {"Method", found.kind + (found.parameters.empty() ? ", order " + std::to_string(found.order) : "") +
                               ", " + std::to_string(model.n_x()) + " states"}};
  std::string dead;
  for (std::size_t j = 0; j < found.delays.size(); ++j) {
    if (found.delays[j] == 0) continue;
    dead += (dead.empty() ? "" : ", ") + model.inputs[j].name +
            base::formatted(" %.6g s", static_cast<double>(found.delays[j]) * model.sample_time);
  }
  if (!dead.empty()) page.facts.emplace_back("Dead time", dead);
  page.facts.emplace_back("Model file", content.output_file.empty() ? "none" : content.output_file);
  page.facts.emplace_back("Hash of the rows", content.hash);

  page.period = model.sample_time;
  page.dates = content.log.survey.time_is_date;
  page.zero = content.log.survey.first;
  const OnRows on = on_rows(content);
  page.sections = {fits_section(content), rows_section(content, on), residual_section(content),
                   dynamics_section(model, uncertainty_of(content)), log_section(content.log)};
  add_parameters(content, page.sections.front());
  const auto written = logs::write_report(file, page, page_rows(content, on));
  return written.ok() ? kExitDone : told(written.error().message(), kExitIo);
}

}  // namespace twinkeeper::app
