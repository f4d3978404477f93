// How the alarms of a twin are named and what they say.
#include <algorithm>
#include <cmath>

#include "base/formatted.hpp"
#include "diagnosis/sensor_reasons.hpp"
#include "diagnosis/wording.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
namespace {

using estimation::OutputStep;
using signals::Reason;

constexpr double kLargeShift = 3.0;  // standard deviations
constexpr double kGrossJump = 10.0;

void fill_figures(AnomalyEvent& event, const OutputStep& row) {
  const auto finite = [](double value) { return std::isfinite(value) ? std::optional<double>(value) : std::nullopt; };
  event.measured = finite(row.measured);
  event.expected = finite(row.expected);
  event.sigma = finite(row.std);
}

const char* side(double magnitude) { return magnitude < 0.0 ? " below" : " above"; }

// Isolation has found the cause: size, onset and message are told already.
bool cause_is_told(const AnomalyEvent& event) { return event.magnitude_std.has_value(); }

}  // namespace

std::string quantity(double value, const std::string& unit) {
  return base::formatted("%.3g", value) + (unit.empty() ? "" : " " + unit);
}

void TwinDiagnosis::define_alarms() {
  const auto add_reasons = [&](Signal& signal) {
    for (std::size_t r = 0; r < kSensorReasons.size(); ++r) {
      AlarmDefinition definition =
          sensor_alarm(setup_.twin + "." + signal.setup.name, kSensorReasons[r], signal.setup.tag);
      definition.unit = signal.setup.unit;
      if (kSensorReasons[r] != Reason::stuck) definition.on_delay = setup_.settings.on_delay;
      definition.off_delay = setup_.settings.off_delay;
      signal.reasons[r] = book_.add(std::move(definition));
    }
  };
  for (Output& output : outputs_) {
    add_reasons(output);
    output.gate = book_.add(gate_definition(output.setup));
    output.process = book_.add(process_definition(output.setup, "cusum"));
    output.slow_drift = book_.add(process_definition(output.setup, "slow_drift"));
    output.noise_up = book_.add(noise_definition(output.setup, true));
    output.noise_down = book_.add(noise_definition(output.setup, false));
  }
  for (Signal& input : inputs_) add_reasons(input);
  for (Augmented& augmented : augmented_) augmented.alarm = book_.add(deviation_definition(augmented.setup));
  nis_alarm_ = book_.add(nis_definition());
  model_alarm_ = book_.add(model_definition());
}

AlarmDefinition TwinDiagnosis::gate_definition(const SignalSetup& signal) const {
  AlarmDefinition definition;
  definition.id = setup_.twin + "." + signal.name + ".gate";
  definition.kind = AnomalyKind::sensor;
  definition.test = "gate";
  definition.message_cleared = signal.tag + " agrees with the model again.";
  definition.advice = "Compare " + signal.tag + " with an independent reading; its values are not used meanwhile.";
  definition.tags = {signal.tag};
  definition.severity = 600;
  definition.ne107 = NamurStatus::off_spec;
  definition.unit = signal.unit;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

AlarmDefinition TwinDiagnosis::process_definition(const SignalSetup& signal, const char* test) const {
  AlarmDefinition definition;
  definition.id = setup_.twin + "." + signal.name + "." + test;
  definition.kind = AnomalyKind::process;
  definition.test = test;
  definition.message_cleared = signal.tag + " agrees with the model again.";
  definition.advice =
      "Look for what has changed in the process (leak, blockage, wear, an unknown load); if nothing has, " +
      std::string("check the calibration of ") + signal.tag + ".";
  definition.tags = {signal.tag};
  definition.severity = 700;
  definition.ne107 = NamurStatus::maintenance_required;
  definition.unit = signal.unit;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

AlarmDefinition TwinDiagnosis::noise_definition(const SignalSetup& signal, bool up) const {
  AlarmDefinition definition;
  definition.test = up ? "noise_up" : "noise_down";
  definition.id = setup_.twin + "." + signal.name + "." + definition.test;
  definition.kind = AnomalyKind::sensor;
  definition.message_cleared = signal.tag + " is as noisy as usual again.";
  definition.advice = up ? "Look for a loose contact, interference or damping that is gone at " + signal.tag + "."
                         : "Look for a blocked impulse line or new damping at " + signal.tag + ".";
  definition.tags = {signal.tag};
  definition.severity = 400;
  definition.ne107 = NamurStatus::maintenance_required;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

AlarmDefinition TwinDiagnosis::nis_definition() const {
  AlarmDefinition definition;
  definition.id = setup_.twin + ".nis";
  definition.kind = AnomalyKind::process;
  definition.test = "nis";
  definition.message =
      "The measurements of " + setup_.twin +
      " together are further from what the model expects than they should be, and no single one says why.";
  definition.message_cleared = "The measurements of " + setup_.twin + " agree with the model again.";
  definition.advice =
      "See whether the machine runs in a way the model was not made for; compare what the model "
      "expects with the measurements over the last hour.";
  for (const SignalSetup& output : setup_.outputs) {
    if (!output.tag.empty()) definition.tags.push_back(output.tag);
  }
  definition.severity = 600;
  definition.ne107 = NamurStatus::off_spec;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

void TwinDiagnosis::describe_reason(AnomalyEvent& event, AlarmHandle alarm, const Signal& signal,
                                    const OutputStep* row) const {
  if (event.event == AnomalyEventKind::raised) {
    const std::optional<base::Instant> since =
        signal.reason == Reason::stuck ? signal.unchanged_since : signal.faulty_since;
    event.onset = since.value_or(event.onset);
  }
  if (row != nullptr) {
    fill_figures(event, *row);
    if (event.measured && event.expected) event.magnitude = *event.measured - *event.expected;
    static_cast<const Output&>(signal).trend.copy_to(event.trend);
  }
  if (event.event != AnomalyEventKind::cleared) add_joined_tags(event, alarm);
}

void TwinDiagnosis::describe_gate(AnomalyEvent& event, std::size_t index, const OutputStep& row) {
  const Output& output = outputs_[index];
  fill_figures(event, row);
  if (describe_taken_over(event, output.gate, output.setup.tag)) return;
  event.statistic = std::abs(row.innovation) / row.std;
  event.threshold = gate_;
  if (!cause_is_told(event)) event.magnitude = row.innovation;
  event.nominal_false_alarms_per_day = gate_false_alarms_per_day_;
  output.trend.copy_to(event.trend);
  if (event.event == AnomalyEventKind::cleared) return;
  if (event.event == AnomalyEventKind::raised) {
    event.onset = output.rejected_since.value_or(event.onset);
    const auto others = std::count_if(outputs_.begin(), outputs_.end(), [&](const Output& other) {
      return &other != &output && !other.setup.tag.empty() && other.health == Health::good;
    });
    if (others == 0) event.ambiguous_with = {"process:" + output.setup.name};
  }
  event.ne107 = *event.statistic > kGrossJump ? NamurStatus::failure : NamurStatus::off_spec;
  const Departure departure{index, event.onset};
  if (cause_is_told(event)) {
    describe_cause(event, output.gate, true, departure);
    add_joined_tags(event, output.gate);
    return;
  }
  event.message = output.setup.tag + " has jumped to " + quantity(row.measured, output.setup.unit) + ", " +
                  quantity(std::abs(row.innovation), output.setup.unit) + side(row.innovation) +
                  " what the model expects" +
                  (event.ambiguous_with.empty() ? ", while the other sensors agree with it." : ".");
  describe_cause(event, output.gate, true, departure);
  add_joined_tags(event, output.gate);
}

void TwinDiagnosis::describe_process(AnomalyEvent& event, std::size_t index, const OutputStep& row) {
  const Output& output = outputs_[index];
  if (describe_taken_over(event, output.process, output.setup.tag)) return;
  if (!cause_is_told(event) || event.kind == AnomalyKind::process) event.threshold = limits(index).cusum;
  event.nominal_false_alarms_per_day = limits(index).cusum_per_day;
  describe_shift(event, index, row, output.cusum);
  if (event.event == AnomalyEventKind::cleared) return;
  describe_cause(event, output.process, false, Departure{index, output.cusum.onset()});
  add_joined_tags(event, output.process);
}

void TwinDiagnosis::describe_slow_drift(AnomalyEvent& event, std::size_t index, const OutputStep& row) {
  if (describe_taken_over(event, outputs_[index].slow_drift, outputs_[index].setup.tag)) return;
  if (!cause_is_told(event) || event.kind == AnomalyKind::process) event.threshold = limits(index).slow_drift;
  event.nominal_false_alarms_per_day = limits(index).slow_per_day;
  describe_shift(event, index, row, outputs_[index].slow);
  if (event.event == AnomalyEventKind::cleared) return;
  describe_cause(event, outputs_[index].slow_drift, false, Departure{index, outputs_[index].slow.onset()});
  add_joined_tags(event, outputs_[index].slow_drift);
}

void TwinDiagnosis::describe_shift(AnomalyEvent& event, std::size_t index, const OutputStep& row,
                                   const TwoSidedCusum& sum) const {
  const Output& output = outputs_[index];
  const OutputLimits& limits = this->limits(index);
  fill_figures(event, row);
  if (!cause_is_told(event) || event.kind == AnomalyKind::process) event.statistic = sum.value();
  add_evidence(event);
  output.trend.copy_to(event.trend);
  if (event.event == AnomalyEventKind::cleared) return;
  const double shift = sum.mean() * limits.scale / (limits.block_factor * limits.block);  // in √Σ_ii
  const double magnitude = std::isfinite(row.std) ? shift * row.std : event.magnitude.value_or(0.0);
  const bool large = std::abs(shift) >= kLargeShift;
  event.severity = large ? 750 : 700;
  event.ne107 = large ? NamurStatus::off_spec : NamurStatus::maintenance_required;
  if (cause_is_told(event)) return;
  event.magnitude = magnitude;
  if (event.event == AnomalyEventKind::raised) {
    event.onset = sum.onset();
    event.ambiguous_with = {"sensor:" + output.setup.tag};
    event.hypotheses = {{"process:" + output.setup.name, 0.5}, {"sensor:" + output.setup.tag, 0.5}};
  }
  event.message = output.setup.tag + " stays " + quantity(std::abs(magnitude), output.setup.unit) + side(magnitude) +
                  " what the model expects: the process has changed, or the sensor has drifted.";
}

void TwinDiagnosis::describe_noise(AnomalyEvent& event, std::size_t index, bool up, const OutputStep& row) const {
  const Output& output = outputs_[index];
  const OutputLimits& limits = this->limits(index);
  fill_figures(event, row);
  event.statistic = output.noise.value();
  event.threshold = up ? limits.noise_high : limits.noise_low;
  event.nominal_false_alarms_per_day = limits.noise_per_day;
  add_evidence(event);
  output.trend.copy_to(event.trend);
  if (event.event == AnomalyEventKind::cleared) return;
  if (event.event == AnomalyEventKind::raised) {
    event.onset = up ? output.noise.onset_up() : output.noise.onset_down();
  }
  const double times = std::sqrt(std::max(output.noise.value(), 0.0));
  const std::string factor = base::formatted("%.2g", up || times <= 0.0 ? times : 1.0 / times);
  event.message = output.setup.tag + " is " +
                  (up || times > 0.0 ? factor + " times " + (up ? "noisier" : "quieter") + " than expected"
                                     : std::string("quieter than expected")) +
                  (up ? "." : ": it may be frozen or damped.");
  add_joined_tags(event, up ? output.noise_up : output.noise_down);
}

void TwinDiagnosis::describe_nis(AnomalyEvent& event) {
  if (describe_taken_over(event, nis_alarm_, "What is measured of " + setup_.twin)) return;
  if (!cause_is_told(event) || event.kind == AnomalyKind::process) {
    event.statistic = nis_.value();
    event.threshold = nis_.limit();
  }
  event.nominal_false_alarms_per_day = limits().nis_per_day;
  add_evidence(event);
  if (event.event == AnomalyEventKind::raised) event.onset = nis_.onset();
  if (event.event != AnomalyEventKind::cleared) describe_cause(event, nis_alarm_, false, std::nullopt);
}

void TwinDiagnosis::add_evidence(AnomalyEvent& event) const {
  event.evidence_hours.reset();
  event.observed_false_alarms.reset();
  if (limits().calibration < 0) return;
  const RegimeCalibration& found = setup_.settings.calibration.regimes[static_cast<std::size_t>(limits().calibration)];
  event.evidence_hours = found.hours;
  event.observed_false_alarms = found.false_alarms;
}

void TwinDiagnosis::add_joined_tags(AnomalyEvent& event, AlarmHandle alarm) const {
  for (const Output& output : outputs_) {
    if (output.joined != alarm) continue;
    if (std::find(event.tags.begin(), event.tags.end(), output.setup.tag) == event.tags.end()) {
      event.tags.push_back(output.setup.tag);
    }
  }
}

}  // namespace twinkeeper::diagnosis
