#include "app/log_report.hpp"

#include <iostream>

#include <nlohmann/json.hpp>

#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/report_parts.hpp"
#include "base/formatted.hpp"
#include "identification/excitation.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using logs::LogGap;
using logs::LogSurvey;
using logs::SurveyedColumn;
using nlohmann::ordered_json;

double in_seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

std::string time_text(const LogSurvey& survey, std::chrono::nanoseconds time) {
  if (survey.time_is_date) return base::format_rfc3339(base::WallTime{time});
  return base::formatted("%.9g s", in_seconds(time));
}

ordered_json json_time(const LogSurvey& survey, std::chrono::nanoseconds time) {
  if (survey.time_is_date) return base::format_rfc3339(base::WallTime{time});
  return in_seconds(time);
}

double missing_percent(const LogSurvey& survey, const SurveyedColumn& column) {
  return 100.0 * static_cast<double>(column.missing) / static_cast<double>(survey.rows);
}

std::string counted(std::uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + ' ' + (count == 1 ? one : many);
}

std::string range_text(const SurveyedColumn& column) {
  if (column.empty()) return "empty";
  if (column.constant()) return base::formatted("%.6g, constant", column.least);
  return base::formatted("%.6g … %.6g", column.least, column.most);
}

std::string missing_text(const LogSurvey& survey, const SurveyedColumn& column) {
  if (column.missing == 0) return "none";
  return base::formatted("%.3g %%", missing_percent(survey, column)) + ", at most " +
         counted(column.longest_missing, "row", "rows") + " on end";
}

// What there is to say of rows and times, a sentence each.
std::vector<std::string> lines_of(const LogFindings& report) {
  const LogSurvey& survey = report.survey;
  std::vector<std::string> out;
  out.push_back(counted(survey.rows, "row", "rows") + " from " + time_text(survey, survey.first) + " to " +
                time_text(survey, survey.last));
  if (survey.step > 0.0) {
    out.push_back(base::formatted("usual step %.6g s, nine in ten between %.6g and %.6g s", survey.step,
                                  survey.shortest_usual, survey.longest_usual));
  }
  if (survey.gaps > 0 && !survey.longest_gaps.empty()) {
    const LogGap& longest = survey.longest_gaps.front();
    out.push_back(counted(survey.gaps, "gap", "gaps") +
                  base::formatted(" of more than %.3g steps, %.6g s together; the longest %.6g s before row ",
                                  logs::kGap, survey.in_gaps, in_seconds(longest.end - longest.begin)) +
                  std::to_string(longest.row) + ", from " + time_text(survey, longest.begin));
  }
  if (survey.repeated > 0) out.push_back(counted(survey.repeated, "row repeats", "rows repeat") + " the time before");
  if (survey.back > 0) out.push_back(counted(survey.back, "row goes", "rows go") + " back in time");
  if (report.resampled == nullptr) return out;
  const auto& made = *report.resampled;
  const std::size_t ticks = made.record.tick.size();
  if (made.means > 0) {
    const double each = static_cast<double>(made.rows) / static_cast<double>(made.ticks);
    out.push_back(counted(made.rows, "row became ", "rows became ") + counted(ticks, "sample", "samples") +
                  base::formatted(", one each %.6g s, of about ", report.period) +
                  base::formatted(each < 10.0 ? "%.2g rows each: " : "%.0f rows each: ", each) +
                  "inputs are what acted over the step, outputs the mean around its beginning" +
                  base::formatted(" (%.3g %% of the values are such means)",
                                  100.0 * static_cast<double>(made.means) / static_cast<double>(made.values)));
  } else if (made.rows > made.ticks) {
    out.push_back(counted(made.rows - made.ticks, "row shares", "rows share") + " a sample with another");
  }
  return out;
}

}  // namespace

void print_log(std::ostream& out, const LogFindings& report) {
  const auto lines = lines_of(report);
  for (std::size_t i = 0; i < lines.size(); ++i) out << (i == 0 ? "log: " : "  ") << lines[i] << '\n';
  for (const std::size_t c : report.columns) {
    const SurveyedColumn& column = report.survey.columns[c];
    out << "  column " << with_unit(column.column.name, column.column.unit) << ": " << range_text(column)
        << (column.column.unit.empty() ? "; no unit" : "");
    if (column.missing > 0) out << "; missing " << missing_text(report.survey, column);
    out << '\n';
  }
}

ordered_json json_of_log(const LogFindings& report) {
  const LogSurvey& survey = report.survey;
  ordered_json out{{"log", survey.file},
                   {"rows", survey.rows},
                   {"begin", json_time(survey, survey.first)},
                   {"end", json_time(survey, survey.last)},
                   {"step", {{"usual", survey.step}, {"low", survey.shortest_usual}, {"high", survey.longest_usual}}}};
  ordered_json longest = ordered_json::array();
  for (const LogGap& gap : survey.longest_gaps) {
    longest.push_back({{"row", gap.row},
                       {"begin", json_time(survey, gap.begin)},
                       {"end", json_time(survey, gap.end)},
                       {"seconds", in_seconds(gap.end - gap.begin)}});
  }
  out["gaps"] = {{"count", survey.gaps}, {"seconds", survey.in_gaps}, {"longest", longest}};
  out["repeated_times"] = survey.repeated;
  out["times_back"] = survey.back;
  out["columns"] = ordered_json::array();
  for (const std::size_t c : report.columns) {
    const SurveyedColumn& column = survey.columns[c];
    const auto figure = [&](double value) { return column.empty() ? ordered_json() : ordered_json(value); };
    out["columns"].push_back({{"name", column.column.name},
                              {"unit", column.column.unit.empty() ? ordered_json() : ordered_json(column.column.unit)},
                              {"min", figure(column.least)},
                              {"max", figure(column.most)},
                              {"missing", column.missing},
                              {"missing_percent", missing_percent(survey, column)},
                              {"longest_missing", column.longest_missing},
                              {"constant", column.constant()}});
  }
  if (report.resampled == nullptr) return out;
  out["samples"] = {{"count", report.resampled->record.tick.size()},
                    {"step", report.period},
                    {"values", report.resampled->values},
                    {"means", report.resampled->means}};
  return out;
}

logs::ReportSection log_section(const LogFindings& report) {
  logs::ReportSection section{"log", "The log", {}};
  for (const std::string& line : lines_of(report)) section.parts.emplace_back(line + ".");
  logs::ReportTable table;
  table.caption = "Columns of the log";
  table.columns = {"Column", "Unit", "Range", "Missing"};
  for (const std::size_t c : report.columns) {
    const SurveyedColumn& column = report.survey.columns[c];
    table.rows.push_back({column.column.name, column.column.unit.empty() ? "–" : column.column.unit, range_text(column),
                          missing_text(report.survey, column)});
  }
  section.parts.emplace_back(std::move(table));
  return section;
}

std::optional<std::string> lost_at_gaps(const identification::Cut& cut) {
  if (cut.ticks_lost == 0) return std::nullopt;
  return std::to_string(cut.ticks_lost) + " of " + std::to_string(cut.ticks) + " samples are lost at gaps; " +
         std::to_string(cut.experiments.size()) + " experiments are left";
}

int tell_check(const LogFindings& report, const base::Result<identification::Cut>* cut,
               const std::vector<std::string>& inputs, const std::vector<std::string>& outputs, bool closed_loop,
               bool as_json) {
  identification::Excitation found;
  if (cut != nullptr && !cut->ok()) found.faults.push_back(cut->error().message() + kLongerStep);
  if (cut != nullptr && cut->ok()) {
    found = identification::examine_excitation(cut->value().experiments, inputs, outputs);
    if (found.faults.empty() && closed_loop) {
      found.faults = identification::faults_of_loop(cut->value().experiments, inputs);
    }
    if (const auto lost = lost_at_gaps(cut->value())) found.warnings.insert(found.warnings.begin(), *lost);
  }
  const std::string& file = report.survey.file;
  if (as_json) {
    ordered_json out = json_of_log(report);
    if (cut != nullptr && cut->ok()) {
      out["samples"]["lost"] = cut->value().ticks_lost;
      out["samples"]["filled_percent"] = 100.0 * cut->value().filled;
      out["samples"]["experiments"] = cut->value().experiments.size();
    }
    out["errors"] = found.faults;
    out["warnings"] = found.warnings;
    std::cout << out.dump(2) << std::endl;
  } else {
    print_log(std::cout, report);
    if (cut != nullptr && found.faults.empty()) std::cout << "nothing speaks against a model of these signals\n";
  }
  for (const auto& warning : found.warnings) std::cerr << "warning: " << file << ": " << warning << '\n';
  for (const auto& fault : found.faults) told(file + ": " + fault, kExitBadData);
  return found.faults.empty() ? kExitDone : kExitBadData;
}

}  // namespace twinkeeper::app
