// The tests that speak only where nothing else does: slow drift, noise, and all outputs together.
#include <algorithm>
#include <cmath>

#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
namespace {

using estimation::TwinStep;

// Between what is expected of a ratio and its limit.
double middle(double limit) { return 1.0 + 0.5 * (limit - 1.0); }

}  // namespace

// An alarm of this output stands, or waits for its delay.
bool TwinDiagnosis::speaks(const Output& output) const {
  return output.over_since || output.joined || (setup_.settings.gate && output.jump) || book_.active(output.process) ||
         book_.active(output.gate);
}

// A sum of this output is above half of its limit.
bool TwinDiagnosis::half_way(std::size_t output) const {
  return outputs_[output].cusum.value() > 0.5 * limits(output).cusum ||
         outputs_[output].slow.value() > 0.5 * limits(output).slow_drift;
}

// No alarm stands, and no test is about to raise one.
bool TwinDiagnosis::nothing_warns() const {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].rejected_since || half_way(i)) return false;
  }
  return calm() && (nis_.dof() == 0 || nis_.value() <= middle(nis_.limit()));
}

bool TwinDiagnosis::one_jumps() const {
  return setup_.settings.gate &&
         std::count_if(outputs_.begin(), outputs_.end(), [](const Output& o) { return o.jump; }) == 1;
}

// Deviations apart: they say nothing of residuals, and may stand for good.
bool TwinDiagnosis::calm() const {
  const auto deviations = std::count_if(augmented_.begin(), augmented_.end(),
                                        [&](const Augmented& augmented) { return book_.active(augmented.alarm); });
  if (book_.active_count() > static_cast<std::size_t>(deviations)) return false;
  const auto faulty = [](const Signal& signal) { return signal.health == Health::faulty; };
  return std::none_of(outputs_.begin(), outputs_.end(), [&](const Output& o) { return faulty(o) || speaks(o); }) &&
         std::none_of(inputs_.begin(), inputs_.end(), faulty);
}

// What this output's own alarms, or others', account for.
bool TwinDiagnosis::explained(std::size_t index, base::Instant now) const {
  return speaks(outputs_[index]) || sensor_waits_elsewhere(index) || standing_cause(index, now).has_value();
}

// Anything that stands and by which all outputs together might be moved.
bool TwinDiagnosis::anything_recent(base::Instant now) const {
  const auto recent_reason = [&](const Signal& signal) {
    return std::any_of(signal.reasons.begin(), signal.reasons.end(), [&](AlarmHandle a) {
      return book_.pending(a) || (book_.active(a) && now - book_.told(a).raised_at <= join_window_);
    });
  };
  return std::any_of(outputs_.begin(), outputs_.end(),
                     [&](const Output& o) {
                       return o.joined || book_.active(o.process) || book_.active(o.gate) ||
                              book_.active(o.slow_drift) || book_.active(o.noise_up) || book_.active(o.noise_down) ||
                              recent_reason(o);
                     }) ||
         std::any_of(inputs_.begin(), inputs_.end(), recent_reason);
}

void TwinDiagnosis::evaluate_slow_tests(const TwinStep& step, std::vector<AnomalyEvent>& out) {
  const bool quiet = calm();
  if (!quiet) {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      Output& output = outputs_[i];
      const bool drifts = book_.active(output.slow_drift);
      const bool noisy = book_.active(output.noise_up) || book_.active(output.noise_down);
      const bool other = !drifts && !noisy && explained(i, step.time);
      if (other || noisy) {
        output.slow.reset();
        output.slow_over_since.reset();
      }
      if (other || drifts) {
        output.noise.reset();
        output.noise_over_since.reset();
      }
    }
  }
  const std::size_t told = out.size();
  if (setup_.settings.slow_drift.enabled) evaluate_slow_drift(step, out);
  for (std::size_t i = 0; setup_.settings.noise.enabled && i < outputs_.size(); ++i) {
    if (out.size() == told) evaluate_noise(i, step, out);
  }
  if (!setup_.settings.nis.enabled) return;
  if (!book_.active(nis_alarm_) && (out.size() > told || (!quiet && anything_recent(step.time)))) {
    nis_.reset();
    nis_over_since_.reset();
  } else if (!book_.active(nis_alarm_) && one_jumps()) {
    // That one is about to tell it by itself, or was an outlier; of several, all together may be the ones to tell.
  } else if (step.nis_dof > 0 && std::isfinite(step.nis)) {
    evaluate_nis(step, out);
  }
}

void TwinDiagnosis::evaluate_slow_drift(const TwinStep& step, std::vector<AnomalyEvent>& out) {
  std::optional<std::size_t> first;
  const auto tell = [&](std::size_t i, bool condition) {
    book_.update(outputs_[i].slow_drift, condition, step.time, out,
                 [&](AnomalyEvent& event) { describe_slow_drift(event, i, step.outputs[i]); });
  };
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (!output.measured) continue;
    const bool stood = book_.active(output.slow_drift);
    if (stood && output.slow.returned()) output.slow.reset();
    const bool over = output.slow.value() > (stood ? 0.5 : 1.0) * limits(i).slow_drift;
    if (!over) {
      output.slow_over_since.reset();
    } else if (!output.slow_over_since) {
      output.slow_over_since = step.time;
    }
    if (stood) {
      tell(i, over);
      if (book_.active(output.slow_drift)) continue;
      release_joined(output.slow_drift);
      output.begin_sums_anew();
    } else if (over && step.time - *output.slow_over_since >= setup_.settings.on_delay &&
               (!first || output.slow.value() > outputs_[*first].slow.value())) {
      first = i;
    }
  }
  if (first && isolated()) tell(*first, true);
}

void TwinDiagnosis::evaluate_noise(std::size_t index, const TwinStep& step, std::vector<AnomalyEvent>& out) {
  Output& output = outputs_[index];
  if (!output.measured || !output.noise.full()) return;
  const OutputLimits& limits = this->limits(index);
  const double ratio = output.noise.value();
  const bool up_stood = book_.active(output.noise_up);
  const bool down_stood = book_.active(output.noise_down);
  bool up = ratio > (up_stood ? middle(limits.noise_high) : limits.noise_high);
  const bool down = limits.noise_low > 0.0 && ratio < (down_stood ? middle(limits.noise_low) : limits.noise_low);
  if (up && !up_stood) {  // a disturbance moves several
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const VarianceRatio& other = outputs_[i].noise;
      if (i != index && other.full() && other.value() > this->limits(i).noise_high) up = false;
    }
  }
  if (!up && !down) {
    output.noise_over_since.reset();
  } else if (!output.noise_over_since) {
    output.noise_over_since = step.time;
  }
  if (!up_stood && !down_stood &&
      (!output.noise_over_since || step.time - *output.noise_over_since < setup_.settings.on_delay)) {
    return;
  }
  const auto tell = [&](AlarmHandle alarm, bool is_up, bool condition) {
    const bool stood = book_.active(alarm);
    book_.update(alarm, condition, step.time, out,
                 [&](AnomalyEvent& event) { describe_noise(event, index, is_up, step.outputs[index]); });
    if (stood && !book_.active(alarm)) release_joined(alarm);
  };
  tell(output.noise_up, true, up);
  tell(output.noise_down, false, down && !up);
}

void TwinDiagnosis::evaluate_nis(const TwinStep& step, std::vector<AnomalyEvent>& out) {
  nis_.add(step.nis, step.nis_dof, step.time);
  if (!nis_.full()) return;
  const bool stood = book_.active(nis_alarm_);
  const double limit = nis_.limit();
  const bool over = nis_.value() > (stood ? middle(limit) : limit);
  if (!over) {
    nis_over_since_.reset();
    if (!stood) return;
  } else if (!nis_over_since_) {
    nis_over_since_ = step.time;
  }
  if (!stood) {
    const base::Duration since = step.time - *nis_over_since_;
    if (since < setup_.settings.on_delay) return;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {  // what one output is about to tell, it tells
      const bool half =
          (setup_.settings.gate && outputs_[i].jump) || half_way(i) || outputs_[i].noise_over_since.has_value();
      if (half && since < setup_.settings.on_delay + setup_.settings.nis.window * setup_.period / 2) return;
    }
  }
  if (!stood && !isolated()) return;
  book_.update(nis_alarm_, over, step.time, out, [&](AnomalyEvent& event) { describe_nis(event); });
  if (!stood || book_.active(nis_alarm_)) return;
  release_joined(nis_alarm_);
  nis_.reset();
}

}  // namespace twinkeeper::diagnosis
