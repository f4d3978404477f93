#include "app/calibrate_page.hpp"

#include "app/exit_codes.hpp"
#include "app/replay_page.hpp"
#include "app/report_parts.hpp"
#include "base/formatted.hpp"

namespace twinkeeper::app {
namespace {

using logs::ReportCell;
using logs::Tone;

class OntoPage final : public LogReplayOutput {
 public:
  explicit OntoPage(ReplayPage& page) : page_(page) {}
  void row(std::string_view time_text, std::int64_t tick, const estimation::TwinStep& step, std::string_view,
           bool anomaly) override {
    page_.row(time_text, tick, step, anomaly);
  }
  void anomaly(std::string_view, const diagnosis::AnomalyEvent& event) override { page_.anomaly(event); }

 private:
  ReplayPage& page_;
};

std::string short_figure(double value) { return base::formatted("%.3g", value); }

logs::ReportSection limits_section(const CalibrationOutcome& outcome) {
  logs::ReportSection section{"limits", "Limits and false alarms", {}};
  section.parts.emplace_back(
      "Nominal is what the limits give by theory; observed are alarms in each quarter of the rows by the limits of the "
      "other three. No alarm in a time T is at most 3 / T, never none.");
  logs::ReportTable regimes;
  regimes.caption = "False alarms by regime";
  regimes.columns = {"Regime",    "Hours",      "Nominal a day", "Observed", "At most a day (95 %)",
                     "NIS limit", "largest NIS"};
  for (const auto& one : outcome.figures) {
    regimes.rows.push_back(
        {one.limits.name + (one.extrapolated ? "\nbeyond the evidence, extrapolated" : ""),
         short_figure(one.limits.hours), short_figure(one.limits.nominal_per_day),
         ReportCell(std::to_string(one.limits.false_alarms), one.limits.false_alarms == 0 ? Tone::good : Tone::warning),
         short_figure(one.at_most_per_day), short_figure(one.limits.nis), short_figure(one.largest_nis)});
  }
  section.parts.emplace_back(std::move(regimes));
  for (const auto& one : outcome.figures) {
    logs::ReportTable table;
    table.caption = "Limits by output, regime " + one.limits.name;
    table.columns = {"Output",  "Scale",      "Autocorrelation", "Rows to a block", "CUSUM",
                     "largest", "Slow drift", "largest drift",   "Noise low",       "Noise high"};
    for (std::size_t i = 0; i < one.limits.outputs.size(); ++i) {
      const auto& limits = one.limits.outputs[i];
      const auto& figures = one.outputs[i];
      table.rows.push_back(
          {limits.name, short_figure(limits.scale), short_figure(figures.memory.first), std::to_string(limits.block),
           short_figure(limits.cusum), short_figure(figures.largest_cusum), short_figure(limits.slow_drift),
           short_figure(figures.largest_slow_drift), short_figure(limits.noise_low), short_figure(limits.noise_high)});
    }
    section.parts.emplace_back(std::move(table));
    for (const auto& name : one.left_out) {
      section.parts.emplace_back("not_calibrated: " + name + ": too few rows in regime " + one.limits.name + ".");
    }
  }
  return section;
}

}  // namespace

int write_calibrate_page(const std::string& file, const CalibrationJob& job, const CalibrationOutcome& outcome,
                         const std::string& rows) {
  Plan plan = job.plan;
  plan.config.twins[job.twin].model = outcome.model;
  plan.config.twins[job.twin].diagnosis = outcome.diagnosis;
  rebuild_model(plan, job.twin);
  auto log = logs::LogReader::open(job.log_file);
  if (!log.ok()) return told(log.error().message(), exit_code_of_log(log.error()));
  ReplayPage page(plan, job.twin, true);
  OntoPage output(page);
  const auto replayed = replay_log(plan, job.twin, log.value(), job.tags, output, job.rows);
  if (!replayed.ok()) return told(replayed.error().message(), exit_code_of_log(replayed.error()));
  ReplayPage::Told content{
      "calibrate", "calibrated with", job.log_file, rows, log.value().time_is_date(), replayed.value(), {}, {}};
  for (const std::string& line : told_of(outcome, job)) {
    // Limits by regime and output have tables of their own.
    const bool listed = line.rfind("regime ", 0) == 0 || (line.rfind("  ", 0) == 0 && line.rfind("  warning", 0) != 0);
    if (!listed) content.notes.push_back({Tone::warning, line});
  }
  content.first.push_back(limits_section(outcome));
  return page.write(file, content);
}

}  // namespace twinkeeper::app
