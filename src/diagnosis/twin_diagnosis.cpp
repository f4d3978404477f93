#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "diagnosis/sensor_reasons.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/diagnosis/sensor_watch.hpp"

namespace twinkeeper::diagnosis {
namespace {

using estimation::OutputStep;
using signals::Quality;
using signals::Reason;

constexpr int kLeastRejections = 3;
constexpr double kSecondsPerDay = 86400.0;

// By repeated squaring; exponent ≥ 0.
double power(double number, std::int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= number;
    number *= number;
  }
  return result;
}

std::vector<std::string> names_of(const std::vector<SignalSetup>& signals) {
  std::vector<std::string> names;
  for (const SignalSetup& signal : signals) names.push_back(signal.name);
  return names;
}

}  // namespace

TwinDiagnosis::TwinDiagnosis(TwinDiagnosisSetup setup)
    : setup_(std::move(setup)),
      book_(OwnerKind::twin, setup_.twin, setup_.settings.latch_severity),
      gate_(setup_.settings.gate_of_tests()),
      join_window_(setup_.settings.gate_timeout + setup_.settings.off_delay),
      limits_(setup_.settings, setup_.period, names_of(setup_.outputs), setup_.regimes) {
  const DiagnosisSettings& settings = setup_.settings;
  const double period_s = std::chrono::duration<double>(setup_.period).count();
  const double steps_per_day = kSecondsPerDay / period_s;
  if (settings.gate) {
    const double delay_steps = std::ceil(std::chrono::duration<double>(settings.on_delay).count() / period_s);
    const auto rejections = std::max<std::int64_t>(kLeastRejections, 1 + static_cast<std::int64_t>(delay_steps));
    gate_false_alarms_per_day_ = steps_per_day * power(base::erfc(gate_ / std::sqrt(2.0)), rejections);
  }
  for (const SignalSetup& input : setup_.inputs) {
    Signal signal;
    signal.setup = input;
    inputs_.push_back(std::move(signal));
  }
  for (const SignalSetup& output : setup_.outputs) {
    Output signal;
    signal.setup = output;
    signal.cusum = TwoSidedCusum(settings.cusum.drift, 2.0 * settings.cusum.limit);
    signal.slow = TwoSidedCusum(settings.slow_drift.drift, 2.0 * settings.slow_drift.limit);
    if (settings.noise.enabled) signal.noise = VarianceRatio(settings.noise.window);
    signal.trend = TrendRing(std::max<base::Duration>(setup_.period, std::chrono::seconds{1}));
    outputs_.push_back(std::move(signal));
  }
  for (const AugmentedSetup& state : setup_.augmented) {
    Augmented augmented;
    augmented.setup = state;
    augmented.before = state.usual;
    augmented_.push_back(std::move(augmented));
  }
  if (settings.nis.enabled) nis_ = WindowedNis(settings.nis.window, static_cast<int>(outputs_.size()), gate_);
  watch_ = ModelWatch(1 + setup_.regimes.size(), outputs_.size(), gate_);
  z_.resize(outputs_.size());
  take_limits();
  define_alarms();
}

void TwinDiagnosis::evaluate(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out,
                             const Evidence& evidence) {
  if (step.inputs.size() != inputs_.size() || step.outputs.size() != outputs_.size()) std::abort();
  const base::Instant now = step.time;
  book_.end_withheld(now, out);
  const bool testing = takes_rows(step);
  const bool anew = testing && (!testing_ || step.regime != regime_);
  note_evidence(step, evidence, testing);
  testing_ = testing;
  if (step.regime != regime_) {
    regime_ = step.regime;
    take_limits();
  }
  if (anew) {
    for (Output& output : outputs_) {
      output.begin_sums_anew();
      output.noise.reset();
      output.rejected_since.reset();
      output.rejections = 0;
      output.jump = false;
    }
    nis_.reset();
  }

  for (std::size_t j = 0; j < inputs_.size(); ++j) {
    const estimation::InputStep& told = step.inputs[j];
    if (!inputs_[j].setup.tag.empty()) read(inputs_[j], told.value, told.quality, told.reason, now);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].setup.tag.empty()) continue;
    const OutputStep& row = step.outputs[i];
    read(outputs_[i], row.measured, row.quality, row.reason, now);
    if (outputs_[i].setup.motion) look_for_motion(outputs_[i], row, testing, now);
    take_row(i, row, testing, now);
  }

  for (Signal& input : inputs_) {
    if (!input.setup.tag.empty() && input.setup.tells_reasons) evaluate_reasons(input, nullptr, now, out);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (output.setup.tag.empty() || !output.setup.tells_reasons) continue;
    std::array<bool, kSensorReasons.size()> stood{};
    for (std::size_t r = 0; r < stood.size(); ++r) stood[r] = book_.active(output.reasons[r]);
    evaluate_reasons(output, &step.outputs[i], now, out);
    for (std::size_t r = 0; r < stood.size(); ++r) {
      if (!stood[r] && book_.active(output.reasons[r])) explain(output, output.reasons[r], now, out);
    }
  }
  look_again();
  if (setup_.settings.gate) {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (!outputs_[i].setup.tag.empty()) evaluate_gate(i, step.outputs[i], now, out);
    }
  }
  if (setup_.settings.cusum.enabled) evaluate_process(step, out);
  if (testing) evaluate_slow_tests(step, out);
  if (testing && setup_.settings.model.enabled) evaluate_model(step, anew, out);
  if (testing && step.mode == estimation::Mode::tracking && !augmented_.empty()) evaluate_augmented(step, out);
}

// After the regime has changed.
void TwinDiagnosis::take_limits() {
  nis_.set_limit(limits().nis);
  if (isolation_) isolation_->isolation.weigh(limits().long_run);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i].cusum.set_cap(2.0 * limits(i).cusum);
    outputs_[i].slow.set_cap(2.0 * limits(i).slow_drift);
  }
}

void TwinDiagnosis::read(Signal& signal, double value, Quality quality, Reason reason, base::Instant now) const {
  const Reason before = signal.reason;
  signal.reason = quality == Quality::good ? Reason::none : reason;
  if (is_sensor_reason(signal.reason)) {
    signal.health = Health::faulty;
    if (!signal.faulty_since || before != signal.reason) signal.faulty_since = now;
  } else if (quality == Quality::bad && signal.reason != Reason::spike) {
    signal.health = Health::unknown;
  } else if (is_silence(signal.reason)) {
    signal.health = Health::unknown;
  } else {
    signal.health = Health::good;
    signal.faulty_since.reset();
  }
  if (std::isfinite(value) && (!signal.unchanged_since || value != signal.last_value)) {
    signal.last_value = value;
    signal.unchanged_since = now;
  }
}

// After read(), which has seen whether the value has changed.
void TwinDiagnosis::look_for_motion(Output& output, const OutputStep& row, bool testing, base::Instant now) const {
  constexpr double kSure = 3.0;
  const MotionTest& test = *output.setup.motion;
  if (output.unchanged_since == now) output.stands_still = false;
  if (output.unchanged_since == now || !testing || !std::isfinite(row.expected)) output.same = 0;
  if (row.fresh && testing && std::isfinite(row.expected)) {
    if (output.same == 0) output.expected_low = output.expected_high = row.expected;
    output.expected_low = std::min(output.expected_low, row.expected);
    output.expected_high = std::max(output.expected_high, row.expected);
    output.same = std::min(output.same + 1, test.samples);
    const double motion = output.expected_high - output.expected_low;
    if (output.same == test.samples && motion > kSure * std::max(row.std, test.resolution)) output.stands_still = true;
  }
  if (!output.stands_still || output.health != Health::good) return;
  output.health = Health::faulty;
  output.faulty_since = now;
  output.reason = Reason::stuck;
}

void TwinDiagnosis::take_row(std::size_t index, const OutputStep& row, bool testing, base::Instant now) {
  Output& output = outputs_[index];
  const OutputLimits& limits = this->limits(index);
  output.z = std::nan("");
  if (std::isfinite(row.measured) && std::isfinite(row.expected)) {
    output.trend.add({now, row.measured, row.expected});
  }
  output.measured = testing && output.health == Health::good && std::isfinite(row.innovation) && row.std > 0.0 &&
                    std::isfinite(row.test_ratio);
  if (output.health == Health::faulty) {
    output.restart = true;
    output.rejected_since.reset();
    output.rejections = 0;
    output.jump = false;
    if (!book_.active(output.process) && !book_.active(output.slow_drift)) {
      output.begin_sums_anew();
      output.joined.reset();
    }
    return;
  }
  if (!output.measured) return;
  if (output.restart) {
    output.restart = false;
    output.begin_sums_anew();
    output.noise.reset();
  }

  // An isolated row stays rejected while the twin's own uncertainty would let anything pass.
  if (row.test_ratio > 1.0 || row.reason == Reason::spike) {
    if (!output.rejected_since) {
      output.rejected_since = now;
      output.jump = output.cusum.value() < 0.5 * limits.cusum;
    }
    if (output.rejections < kLeastRejections) ++output.rejections;
  } else {
    output.rejected_since.reset();
    output.rejections = 0;
    output.jump = false;
  }
  const double z = std::clamp(row.innovation / row.std / limits.scale, -gate_, gate_);
  output.z = z;
  output.noise.add(z, now);
  if (!output.block.add(z, limits.block, now)) return;
  const double mean = output.block.sum() * limits.block_factor;
  output.slow.add(mean, output.block.begin());
  if (!setup_.settings.cusum.enabled) return;
  output.cusum.add(mean, output.block.begin());
  const bool standing = book_.active(output.process) || output.joined;
  if (standing && output.cusum.returned()) output.cusum.reset();
  if (output.cusum.value() > (standing ? 0.5 * limits.cusum : limits.cusum)) {
    if (!output.over_since) output.over_since = now;
  } else {
    output.over_since.reset();
    output.joined.reset();
  }
}

void TwinDiagnosis::evaluate_reasons(Signal& signal, const OutputStep* row, base::Instant now,
                                     std::vector<AnomalyEvent>& out) {
  for (std::size_t r = 0; r < kSensorReasons.size(); ++r) {
    const AlarmHandle alarm = signal.reasons[r];
    if (signal.health == Health::unknown) {
      book_.drop_pending(alarm);
      continue;
    }
    const bool stood = book_.active(alarm);
    const bool condition = signal.health == Health::faulty && signal.reason == kSensorReasons[r];
    book_.update(alarm, condition, now, out, [&](AnomalyEvent& event) { describe_reason(event, alarm, signal, row); });
    if (stood && !book_.active(alarm)) release_joined(alarm);
    if (stood || !book_.active(alarm)) continue;
    for (const AlarmHandle other : signal.reasons) {
      if (other == alarm) continue;
      const bool superseded = book_.clear_now(
          other, now, out, [&](AnomalyEvent& event) { event.caused_by = {book_.definition(alarm).id}; });
      if (superseded) release_joined(other);
    }
  }
}

// The alarm `cause` of this output's sensor has just been raised: what it explains does not stand beside it.
void TwinDiagnosis::explain(Output& output, AlarmHandle cause, base::Instant now, std::vector<AnomalyEvent>& out) {
  const auto name_cause = [&](AnomalyEvent& event) { event.caused_by = {book_.definition(cause).id}; };
  for (const AlarmHandle alarm : {output.gate, output.noise_up, output.noise_down}) {
    if (book_.clear_now(alarm, now, out, name_cause)) release_joined(alarm);
  }
  const std::optional<base::Instant> began =
      output.reason == Reason::stuck ? output.unchanged_since : output.faulty_since;
  for (const AlarmHandle alarm : {output.process, output.slow_drift}) {
    if (!book_.active(alarm) || !began || book_.told(alarm).onset + setup_.period < *began) continue;
    book_.clear_now(alarm, now, out, name_cause);
    release_joined(alarm);
    output.begin_sums_anew();
  }
}

void TwinDiagnosis::evaluate_gate(std::size_t index, const OutputStep& row, base::Instant now,
                                  std::vector<AnomalyEvent>& out) {
  Output& output = outputs_[index];
  if (!output.measured) return;  // nothing new is known
  const bool stood = book_.active(output.gate);
  bool condition = output.rejected_since.has_value();
  if (condition && !stood) {
    if (output.jump && !others_quiet(index)) output.jump = false;
    condition = output.jump && !book_.active(output.process) && output.rejections >= kLeastRejections &&
                now - *output.rejected_since >= setup_.settings.on_delay && isolated();
  }
  book_.update(output.gate, condition, now, out, [&](AnomalyEvent& event) { describe_gate(event, index, row); });
  if (stood && !book_.active(output.gate)) {
    release_joined(output.gate);
    output.begin_sums_anew();
  }
}

void TwinDiagnosis::evaluate_process(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out) {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (output.joined && !book_.active(*output.joined)) output.joined.reset();
  }
  raise_or_join(step, out);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const AlarmHandle alarm = outputs_[i].process;
    if (!book_.active(alarm)) continue;
    book_.update(alarm, process_condition(i), step.time, out,
                 [&](AnomalyEvent& event) { describe_process(event, i, step.outputs[i]); });
    if (!book_.active(alarm)) release_joined(alarm);
  }
}

void TwinDiagnosis::raise_or_join(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out) {
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (!output.measured || !output.over_since || output.joined || book_.active(output.process)) continue;
    if (book_.active(output.gate) || (setup_.settings.gate && output.jump)) continue;
    if (step.time - *output.over_since < setup_.settings.on_delay || sensor_waits_elsewhere(i)) continue;
    if (const auto cause = standing_cause(i, step.time)) {
      output.joined = cause;
      book_.mark_changed(*cause);
    } else if (!first || output.cusum.value() > outputs_[*first].cusum.value()) {
      first = i;
    }
  }
  if (!first) first = early_cause(step);
  if (!first || !isolated()) return;
  first = owner_of_cause(*first);
  const AlarmHandle alarm = outputs_[*first].process;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    const bool jumps = book_.active(output.gate) || (setup_.settings.gate && output.jump);
    if (i != *first && output.over_since && !output.joined && !jumps) output.joined = alarm;
  }
  book_.update(alarm, true, step.time, out,
               [&](AnomalyEvent& event) { describe_process(event, *first, step.outputs[*first]); });
}

void TwinDiagnosis::release_joined(AlarmHandle alarm) {
  for (Output& output : outputs_) {
    if (output.joined != alarm) continue;
    output.joined.reset();
    output.begin_sums_anew();
  }
}

bool TwinDiagnosis::process_condition(std::size_t index) const {
  const AlarmHandle alarm = outputs_[index].process;
  if (outputs_[index].over_since) return true;
  return std::any_of(outputs_.begin(), outputs_.end(),
                     [&](const Output& other) { return other.joined == alarm && other.over_since; });
}

bool TwinDiagnosis::others_quiet(std::size_t index) const {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (i == index || outputs_[i].health != Health::good) continue;
    if (outputs_[i].rejected_since || outputs_[i].cusum.value() >= 0.5 * limits(i).cusum) return false;
  }
  return true;
}

bool TwinDiagnosis::sensor_waits_elsewhere(std::size_t index) const {
  const auto waits = [&](const Signal& signal) {
    return signal.health == Health::faulty &&
           std::any_of(signal.reasons.begin(), signal.reasons.end(), [&](AlarmHandle a) { return book_.pending(a); });
  };
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (i == index) continue;
    if (waits(outputs_[i]) || (setup_.settings.gate && outputs_[i].jump && !book_.active(outputs_[i].gate)))
      return true;
  }
  return std::any_of(inputs_.begin(), inputs_.end(), waits);
}

// The alarm that stands and explains a departure of this output, if there is one.
std::optional<AlarmHandle> TwinDiagnosis::standing_cause(std::size_t index, base::Instant now) const {
  const auto stands = [&](AlarmHandle alarm, bool condition) {
    return book_.active(alarm) && (condition || book_.kept(alarm));
  };
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Output& output = outputs_[i];
    if (i != index && stands(output.process, process_condition(i))) return output.process;
    if (i != index && book_.kept(output.gate)) return output.gate;
    if (stands(output.slow_drift, output.slow_over_since.has_value())) return output.slow_drift;
    if (book_.active(output.noise_up) && output.noise_over_since) return output.noise_up;
  }
  if (stands(nis_alarm_, nis_over_since_.has_value())) return nis_alarm_;
  const auto recent = [&](AlarmHandle alarm) {
    return book_.active(alarm) && now - book_.told(alarm).raised_at <= join_window_;
  };
  const auto reason_of = [&](const Signal& signal) -> std::optional<AlarmHandle> {
    const auto found = std::find_if(signal.reasons.begin(), signal.reasons.end(), recent);
    if (signal.setup.tag.empty() || found == signal.reasons.end()) return std::nullopt;
    return *found;
  };
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (i == index || outputs_[i].setup.tag.empty()) continue;
    if (const auto reason = reason_of(outputs_[i])) return reason;
    if (setup_.settings.gate && recent(outputs_[i].gate)) return outputs_[i].gate;
  }
  for (const Signal& input : inputs_) {
    if (const auto reason = reason_of(input)) return reason;
  }
  return std::nullopt;
}

}  // namespace twinkeeper::diagnosis
