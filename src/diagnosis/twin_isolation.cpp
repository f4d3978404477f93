// What the alarms of a twin say of their cause, and the sensor that is not to be fused meanwhile.
#include <algorithm>
#include <cmath>

#include "diagnosis/wording.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kEvidence = 20.0;  // statistic below which nothing is said: noise comes to 15 once in a while
constexpr double kDecisive = 35.0;  // that raises an alarm by itself
constexpr int kLookEvery = 8;
constexpr double kSure = 0.9;
constexpr double kPossible = 0.05;  // what is more probable than this belongs to what can't be told apart
constexpr std::size_t kMostHypotheses = 5;
constexpr double kLeastProbability = 0.005;

bool is_sensor(FaultKind kind) { return kind == FaultKind::bias || kind == FaultKind::drift; }

}  // namespace

void TwinDiagnosis::record(const estimation::TwinStep& step, const estimation::FilterStep* filter, bool testing) {
  if (!isolation_) return;
  const bool usable = testing && filter != nullptr;
  if (!usable || step.regime != regime_) isolation_->isolation.clear();
  if (usable) isolation_->isolation.take(step, *filter);
}

// Whether what there is to know of the cause is known; if not, the next step goes on.
bool TwinDiagnosis::isolated() { return !isolation_ || isolation_->isolation.evaluate(); }

// The most probable one, counting those that look the same as one.
const FaultEstimate* TwinDiagnosis::cause() const {
  if (!isolation_) return nullptr;
  const FaultIsolation& isolation = isolation_->isolation;
  const FaultEstimate* best = nullptr;
  double most = 0.0;
  for (const FaultEstimate& estimate : isolation.estimates()) {
    const double probability = isolation.group_probability(estimate);
    if (probability <= most * (1.0 + 1e-9)) continue;
    most = probability;
    best = &estimate;
  }
  return best != nullptr && best->statistic >= kEvidence ? best : nullptr;
}

double TwinDiagnosis::sensor_probability(std::optional<std::size_t> output) const {
  double sum = 0.0;
  for (const FaultEstimate& estimate : isolation_->isolation.estimates()) {
    const FaultHypothesis& hypothesis = isolation_->isolation.hypotheses()[estimate.hypothesis];
    if (is_sensor(hypothesis.kind) && (!output || hypothesis.at == *output)) sum += estimate.probability;
  }
  return sum;
}

// The output whose CUSUM warns most, if there is a cause beyond doubt.
std::optional<std::size_t> TwinDiagnosis::early_cause(const estimation::TwinStep& step) {
  if (!isolation_) return std::nullopt;
  std::optional<std::size_t> most;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Output& output = outputs_[i];
    const bool free = output.measured && !output.joined && !book_.active(output.process) &&
                      !book_.active(output.gate) && !(setup_.settings.gate && output.jump);
    if (!free || output.cusum.value() < 0.5 * limits(i).cusum || sensor_waits_elsewhere(i)) continue;
    if (!most || output.cusum.value() > outputs_[*most].cusum.value()) most = i;
  }
  if (!most) {
    warned_ = 0;
    return std::nullopt;
  }
  if (++warned_ < kLookEvery || standing_cause(*most, step.time) || !isolated()) return std::nullopt;
  warned_ = 0;
  const FaultEstimate* best = cause();
  if (best == nullptr || best->statistic < kDecisive) return std::nullopt;
  outputs_[*most].over_since = step.time;
  return most;
}

// The output whose alarm tells it: that of the sensor at fault, if there is one.
std::size_t TwinDiagnosis::owner_of_cause(std::size_t index) const {
  const FaultEstimate* best = cause();
  if (best == nullptr) return index;
  const FaultHypothesis& hypothesis = isolation_->isolation.hypotheses()[best->hypothesis];
  if (!is_sensor(hypothesis.kind) || sensor_probability(hypothesis.at) < kSure) return index;
  const Output& output = outputs_[hypothesis.at];
  const bool free = !output.setup.tag.empty() && output.health == Health::good && !output.joined &&
                    !book_.active(output.gate) && !book_.active(output.process);
  return free ? hypothesis.at : index;
}

std::string TwinDiagnosis::name_of(const FaultHypothesis& hypothesis) const {
  switch (hypothesis.kind) {
    case FaultKind::bias: return "sensor:" + outputs_[hypothesis.at].setup.tag;
    case FaultKind::drift: return "drift:" + outputs_[hypothesis.at].setup.tag;
    case FaultKind::input: {
      const SignalSetup& input = inputs_[hypothesis.at].setup;
      return "input:" + (input.tag.empty() ? input.name : input.tag);
    }
    case FaultKind::disturbance: break;
  }
  return "process:" + isolation_->states[hypothesis.at].name;
}

// `index` is the output whose alarm this is.
void TwinDiagnosis::describe_cause(AnomalyEvent& event, std::size_t index, AlarmHandle alarm) {
  const FaultEstimate* best = cause();
  if (best == nullptr) return;
  const FaultIsolation& isolation = isolation_->isolation;
  const FaultHypothesis& hypothesis = isolation.hypotheses()[best->hypothesis];
  event.hypotheses.clear();
  event.ambiguous_with.clear();
  for (const FaultEstimate& estimate : isolation.estimates()) {
    if (estimate.probability < kLeastProbability || event.hypotheses.size() == kMostHypotheses) break;
    event.hypotheses.push_back({name_of(isolation.hypotheses()[estimate.hypothesis]), estimate.probability});
  }
  for (const FaultEstimate& estimate : isolation.estimates()) {
    if (estimate.hypothesis == best->hypothesis) continue;
    const auto& like = hypothesis.like;
    const bool same = std::find(like.begin(), like.end(), estimate.hypothesis) != like.end();
    if (!same && estimate.probability < kPossible) continue;
    event.ambiguous_with.push_back(name_of(isolation.hypotheses()[estimate.hypothesis]));
  }
  event.onset = best->onset;
  event.magnitude = best->magnitude;
  event.magnitude_std = best->magnitude_std;

  const double sensors = sensor_probability(std::nullopt);
  const bool of_process = alarm == outputs_[index].process;
  if (of_process && sensors >= kSure) {
    event.kind = AnomalyKind::sensor;
    event.test = "glr";
    event.statistic = best->statistic;
    event.threshold = kEvidence;
  } else if (sensors < 0.5) {  // the gate accuses the sensor
    event.kind = AnomalyKind::process;
  }

  const double size = std::abs(best->magnitude);
  const bool up = best->magnitude > 0.0;
  const auto figure = [&](const std::string& unit) {
    event.magnitude_unit = unit;
    return quantity(size) + " ± " + quantity(best->magnitude_std, unit);
  };
  const auto per_second = [](const std::string& unit) { return (unit.empty() ? "1" : unit) + "/s"; };
  switch (hypothesis.kind) {
    case FaultKind::bias: {
      const SignalSetup& sensor = outputs_[hypothesis.at].setup;
      event.message = sensor.tag + " reads " + figure(sensor.unit) + (up ? " too high" : " too low") +
                      ": the model and what else is measured agree without it.";
      break;
    }
    case FaultKind::drift: {
      const SignalSetup& sensor = outputs_[hypothesis.at].setup;
      event.message = sensor.tag + " drifts " + (up ? "upwards by " : "downwards by ") +
                      figure(per_second(sensor.unit)) + " from what the model and what else is measured say.";
      break;
    }
    case FaultKind::input: {
      const SignalSetup& input = inputs_[hypothesis.at].setup;
      event.message = "The process behaves as if " + input.name + " were " + figure(input.unit) +
                      (up ? " higher" : " lower") + " than " +
                      (input.tag.empty() ? "configured" : input.tag + " says") +
                      ": the actuator does something else, or the value is wrong.";
      event.advice = "Compare what " + input.name + " does with what it is told.";
      if (!input.tag.empty()) event.tags.push_back(input.tag);
      break;
    }
    case FaultKind::disturbance: {
      const SignalSetup& state = isolation_->states[hypothesis.at];
      event.message = state.name + (up ? " gains " : " loses ") + figure(per_second(state.unit)) +
                      " that the model does not know of: the process has changed there.";
      event.advice = "Look for what has changed in the process (leak, blockage, wear, an unknown load).";
      break;
    }
  }
  if (is_sensor(hypothesis.kind)) {
    event.advice = "Compare " + outputs_[hypothesis.at].setup.tag + " with an independent reading.";
  }
  if (!event.ambiguous_with.empty()) {
    event.message += " It may also be";
    for (std::size_t i = 0; i < event.ambiguous_with.size(); ++i) {
      event.message += (i == 0 ? " " : i + 1 == event.ambiguous_with.size() ? " or " : ", ") + event.ambiguous_with[i];
    }
    event.message += '.';
  }
  if (is_sensor(hypothesis.kind) && !left_out_ && isolation_->dispensable[hypothesis.at] && hypothesis.at == index &&
      sensor_probability(index) >= kSure) {
    left_out_ = LeftOut{index, alarm};
    event.advice += " Its values are not used until they agree again.";
  }
}

}  // namespace twinkeeper::diagnosis
