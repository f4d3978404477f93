#include <algorithm>
#include <cmath>

#include "app/replay_page.hpp"
#include "app/report_parts.hpp"
#include "base/formatted.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using Eigen::Index;
using logs::LineStyle;
using logs::ReportCell;
using logs::Tone;

Tone tone_of(int severity) {
  return diagnosis::priority_of(severity) >= diagnosis::Priority::high ? Tone::bad : Tone::warning;
}

std::string magnitude_of(const diagnosis::AnomalyEvent& event) {
  if (!event.magnitude) return "";
  const std::string& unit = event.magnitude_unit.empty() ? event.unit : event.magnitude_unit;
  std::string text = base::formatted("%.3g", *event.magnitude);
  if (event.magnitude_std) text += " ± " + base::formatted("%.2g", *event.magnitude_std);
  return unit.empty() ? text : text + " " + unit;
}

}  // namespace

std::string ReplayPage::time_text(double seconds) const {
  if (!dates_) return base::formatted("%.10g", std::chrono::duration<double>(zero_).count() + seconds);
  const base::WallTime time{zero_ + std::chrono::nanoseconds{std::llround(seconds * 1e9)}};
  const std::string text = base::format_rfc3339(time);
  return text.substr(11, model_.sample_time < 1.0 ? 12 : 8) + "\n" + text.substr(0, 10);
}

logs::ReportSection ReplayPage::alarms_section() const {
  logs::ReportSection section{"alarms", "Alarms", {}};
  if (!judged_) {
    section.parts.emplace_back("The model has no diagnosis: nothing is judged. Calibrate it, or give a --diagnosis.");
    return section;
  }
  if (alarms_.empty()) {
    section.parts.emplace_back("No alarm was raised in these rows.");
    return section;
  }
  const double end = static_cast<double>(newest_tick_) * model_.sample_time;
  logs::Timeline timeline{"Alarms over time", {}};
  logs::ReportTable table;
  table.caption = dates_ ? "Alarms in the order in which they were raised; times are UTC"
                         : "Alarms in the order in which they were raised; times in s";
  table.columns = {"Alarm", "Kind", "Began", "Raised", "Cleared", "What it says", "Cause"};
  for (const Alarm& alarm : alarms_) {
    const auto& event = alarm.raised;
    const double onset = std::max(seconds(event.onset), 0.0);
    const double raised = seconds(event.time);
    const double ended = alarm.cleared ? seconds(*alarm.cleared) : end;
    const std::string kind(diagnosis::to_string(event.kind));
    timeline.bars.push_back(
        {event.id, kind, std::min(onset, raised), raised, std::max(ended, raised), !alarm.cleared, event.message});
    std::string cause;
    for (std::size_t i = 0; i < std::min<std::size_t>(event.hypotheses.size(), 4); ++i) {
      const auto& one = event.hypotheses[i];
      cause += (cause.empty() ? "" : "\n") + one.name + base::formatted(" %.0f %%", 100.0 * one.probability);
    }
    if (const std::string size = magnitude_of(event); !size.empty()) {
      cause += (cause.empty() ? "magnitude " : "\nmagnitude ") + size;
    }
    std::string says = event.message;
    if (!event.advice.empty()) says += "\n" + event.advice;
    table.rows.push_back({{event.id + "\nseverity " + std::to_string(event.severity), tone_of(event.severity)},
                          kind + "\ntest " + event.test,
                          time_text(onset),
                          time_text(raised),
                          alarm.cleared ? ReportCell(time_text(ended)) : ReportCell("stands", Tone::bad),
                          says,
                          cause.empty() ? "–" : cause});
    table.spans.emplace_back(std::min(onset, raised), std::max(ended, raised));
  }
  section.parts.emplace_back(std::move(timeline));
  section.parts.emplace_back(
      "A bar is an alarm from when it was raised until its condition cleared; the dashed line before it begins at the "
      "estimated onset.");
  section.parts.emplace_back(std::move(table));
  if (alarms_not_listed_ > 0) {
    section.parts.emplace_back(std::to_string(alarms_not_listed_) + " more alarms were raised and are not listed.");
  }
  return section;
}

logs::ReportSection ReplayPage::outputs_section(bool simulated) const {
  logs::ReportSection section{"rows", "Measured, predicted, simulated", {}};
  section.parts.emplace_back(
      std::string(
          "One step ahead: what the twin expected of each row from all before it, with a band of three standard "
          "deviations.") +
      (simulated ? " Simulated: from the inputs alone, nothing measured but the first 50 rows for a start." : ""));
  for (std::size_t i = 0; i < n_y_; ++i) {
    logs::TimePlot plot;
    plot.title = model_.outputs[i].name;
    plot.unit = model_.outputs[i].unit;
    const std::size_t at = kOfOutput * i;
    plot.lines = {{"measured", LineStyle::measured, at}, {"one step ahead", LineStyle::predicted, at + 1}};
    if (simulated) plot.lines.push_back({"simulated", LineStyle::simulated, values_.size() + i});
    plot.band = at + 2;
    plot.band_name = "± 3 standard deviations";
    section.parts.emplace_back(std::move(plot));
  }
  for (std::size_t j = 0; j < n_u_; ++j) {
    logs::TimePlot plot;
    plot.title = "Input " + model_.inputs[j].name;
    plot.unit = model_.inputs[j].unit;
    plot.tall = false;
    plot.lines = {{"used", LineStyle::input, kOfOutput * n_y_ + 1 + j}};
    section.parts.emplace_back(std::move(plot));
  }
  return section;
}

logs::ReportSection ReplayPage::innovations_section(bool kept) const {
  logs::ReportSection section{"residuals", "Innovations", {}};
  const auto& gate = twin_.diagnosis.gate;
  section.parts.emplace_back(
      std::string(
          "Measured minus expected, in the standard deviations that the model gives: of a model that fits, 997 of "
          "1000 within ± 3.") +
      (gate ? base::formatted(" Beyond ± %.3g, the dashed lines, the gate keeps a sample from the estimate.", *gate)
            : ""));
  for (std::size_t i = 0; i < n_y_; ++i) {
    logs::TimePlot plot;
    plot.title = "Innovation of " + model_.outputs[i].name + " in standard deviations";
    plot.tall = false;
    plot.lines = {{"innovation", LineStyle::residual, kOfOutput * i + 3}};
    if (gate) plot.limit = *gate;
    section.parts.emplace_back(std::move(plot));
  }
  if (n_y_ > 1) {
    logs::TimePlot plot;
    plot.title = "All outputs together: NIS per degree of freedom, about 1 if the model fits";
    plot.tall = false;
    plot.lines = {{"NIS", LineStyle::residual, kOfOutput * n_y_}};
    section.parts.emplace_back(std::move(plot));
  }
  if (!kept) return section;
  Eigen::MatrixXd errors(static_cast<Index>(ticks_.size()), static_cast<Index>(n_y_));
  for (std::size_t i = 0; i < n_y_; ++i) {
    errors.col(static_cast<Index>(i)) =
        Eigen::Map<const Eigen::VectorXd>(errors_[i].data(), static_cast<Index>(errors_[i].size()));
  }
  section.parts.emplace_back("Tested are rows in which the twin has settled and no alarm stands.");
  add_residual_tests(model_, residual_tests_of(record(), errors), section);
  return section;
}

logs::ReportSection ReplayPage::states_section() const {
  logs::ReportSection section{"states", "States", {}};
  section.parts.emplace_back(
      "The estimate after each row, with a band of three standard deviations where the model has them.");
  for (std::size_t s = 0; s < n_x_; ++s) {
    logs::TimePlot plot;
    plot.title = model_.states[s].name;
    plot.unit = model_.states[s].unit;
    plot.tall = false;
    const std::size_t at = kOfOutput * n_y_ + 1 + n_u_ + kOfState * s;
    plot.lines = {{"estimate", LineStyle::predicted, at}};
    plot.band = at + 1;
    section.parts.emplace_back(std::move(plot));
  }
  return section;
}

}  // namespace twinkeeper::app
