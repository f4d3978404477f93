// What the alarms of a twin say of their cause.
#include <algorithm>
#include <cmath>

#include "diagnosis/wording.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kToldApart = 1e-3;  // below it what looks alike at first has shown that it is not
constexpr double kPossible = 0.05;   // what is more probable than this belongs to what can't be told apart
constexpr std::size_t kMostHypotheses = 5;
constexpr double kLeastProbability = 0.005;
constexpr std::int64_t kLastLook = FaultRecord::kWindow - 2 * FaultRecord::kBlock;  // steps since the onset
constexpr double kFiner = 0.7;                                                      // of the standard deviation told

}  // namespace

void TwinDiagnosis::note_evidence(const estimation::TwinStep& step, const Evidence& evidence, bool testing) {
  evidence_ = evidence;
  const bool usable = testing && evidence.record != nullptr;
  if (!usable || step.regime != regime_) {
    evidence_begins_.reset();
    finer_.reset();
    if (isolation_) isolation_->isolation.give_up();
  }
  if (usable && !evidence_begins_) evidence_begins_ = evidence.tick;
  if (isolation_) isolation_->isolation.rest(evidence.tick);
}

// Whether what there is to know of the cause is known; if not, the next step goes on.
bool TwinDiagnosis::isolated() {
  return !isolation_ || !evidence_begins_ ||
         isolation_->isolation.evaluate(*evidence_.record, *evidence_begins_, evidence_.tick);
}

// If it was looked for at this step.
const FaultEstimate* TwinDiagnosis::cause() const {
  if (!isolation_ || !evidence_begins_) return nullptr;
  return isolation_->isolation.progress().ended == evidence_.tick ? isolation_->isolation.cause() : nullptr;
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
    looks_.calm();
    return std::nullopt;
  }
  if (!looks_.due() || standing_cause(*most, step.time) || !isolated()) return std::nullopt;
  looks_.looked();
  const FaultEstimate* best = cause();
  if (best == nullptr || best->statistic < FaultIsolation::kDecisive ||
      !isolation_->isolation.accounts_for(*best, {*most, outputs_[*most].cusum.onset()})) {
    return std::nullopt;
  }
  outputs_[*most].over_since = step.time;
  return most;
}

// The output whose alarm tells it: that of the sensor at fault, if there is one.
std::size_t TwinDiagnosis::owner_of_cause(std::size_t index) const {
  const FaultEstimate* best = cause();
  if (best == nullptr) return index;
  const FaultHypothesis& hypothesis = isolation_->isolation.hypotheses()[best->hypothesis];
  if (!of_sensor(hypothesis.kind)) return index;
  if (isolation_->isolation.sensor_probability(hypothesis.at) < FaultIsolation::kSure) return index;
  if (!isolation_->isolation.accounts_for(*best, {index, outputs_[index].cusum.onset()})) return index;
  const Output& output = outputs_[hypothesis.at];
  const bool free = !output.setup.tag.empty() && output.health == Health::good && !output.joined &&
                    !book_.active(output.gate) && !book_.active(output.process);
  return free ? hypothesis.at : index;
}

// Whether more is known of the cause of an alarm that stands than what was told.
void TwinDiagnosis::look_again() {
  if (!finer_) return;
  const std::int64_t steps = evidence_.tick - finer_->begin + 1;
  const std::int64_t due = std::min(2 * finer_->known, kLastLook);
  if (!book_.active(finer_->alarm) || (finer_->known >= due && !finer_->news)) {
    finer_.reset();
    return;
  }
  if (finer_->known >= due || steps < due || !isolated()) return;
  finer_->known = steps;
  const FaultEstimate* best = cause();
  if (best == nullptr) return;
  const AnomalyEvent& told = book_.told(finer_->alarm);
  const bool other = told.hypotheses.empty() || !told.magnitude_std || !told.magnitude ||
                     told.hypotheses.front().name != name_of(isolation_->isolation.hypotheses()[best->hypothesis]);
  if (!other && best->magnitude_std > kFiner * *told.magnitude_std &&
      std::abs(best->magnitude - *told.magnitude) < *told.magnitude_std) {
    return;
  }
  finer_->news = told;
  say_cause(*finer_->news, *best, finer_->accuses);
  book_.mark_changed(finer_->alarm);
}

std::string TwinDiagnosis::name_of(const FaultHypothesis& hypothesis) const {
  switch (hypothesis.kind) {
    case FaultKind::bias: return "sensor:" + outputs_[hypothesis.at].setup.tag;
    case FaultKind::drift: return "drift:" + outputs_[hypothesis.at].setup.tag;
    case FaultKind::input: {
      const SignalSetup& input = inputs_[hypothesis.at].setup;
      return "input:" + (input.tag.empty() ? input.name : input.tag);
    }
    case FaultKind::parameter: return "parameter:" + isolation_->isolation.parameters()[hypothesis.at].name;
    case FaultKind::disturbance: break;
  }
  return "process:" + isolation_->states[hypothesis.at].name;
}

// `accuses`: the alarm is of a sensor before anything is known of the cause.
void TwinDiagnosis::describe_cause(AnomalyEvent& event, AlarmHandle alarm, bool accuses,
                                   const std::optional<Departure>& departure) {
  if (!isolation_) return;
  if (event.event == AnomalyEventKind::changed && finer_ && finer_->alarm == alarm && finer_->news) {
    take_cause(event, *finer_->news);
    finer_->news.reset();
  }
  if (event.event != AnomalyEventKind::raised || !evidence_begins_) return;
  const FaultEstimate* best = cause();
  if (best != nullptr && departure) {
    const FaultHypothesis& hypothesis = isolation_->isolation.hypotheses()[best->hypothesis];
    const bool its_own = of_sensor(hypothesis.kind) && hypothesis.at == departure->output;
    if (!its_own && !isolation_->isolation.accounts_for(*best, *departure)) {
      finer_.reset();
      return;
    }
  }
  const std::int64_t begin = best != nullptr ? best->begin : evidence_.tick - LookSchedule::kFirst + 1;
  finer_ = Finer{alarm, accuses, begin, evidence_.tick - begin + 1, {}};
  if (best != nullptr) say_cause(event, *best, accuses);
}

void TwinDiagnosis::take_cause(AnomalyEvent& event, const AnomalyEvent& from) {
  event.kind = from.kind;
  event.test = from.test;
  event.message = from.message;
  event.advice = from.advice;
  event.tags = from.tags;
  event.hypotheses = from.hypotheses;
  event.ambiguous_with = from.ambiguous_with;
  event.onset = from.onset;
  event.magnitude = from.magnitude;
  event.magnitude_std = from.magnitude_std;
  event.magnitude_unit = from.magnitude_unit;
  if (from.test != "glr") return;
  event.statistic = from.statistic;
  event.threshold = from.threshold;
}

void TwinDiagnosis::say_cause(AnomalyEvent& event, const FaultEstimate& best, bool accuses) const {
  const FaultIsolation& isolation = isolation_->isolation;
  const FaultHypothesis& hypothesis = isolation.hypotheses()[best.hypothesis];
  event.hypotheses.clear();
  event.ambiguous_with.clear();
  for (const FaultEstimate& estimate : isolation.estimates()) {
    if (estimate.probability < kLeastProbability || event.hypotheses.size() == kMostHypotheses) break;
    event.hypotheses.push_back({name_of(isolation.hypotheses()[estimate.hypothesis]), estimate.probability});
  }
  for (const FaultEstimate& estimate : isolation.estimates()) {
    if (estimate.hypothesis == best.hypothesis) continue;
    const auto& like = hypothesis.like;
    const bool same = std::find(like.begin(), like.end(), estimate.hypothesis) != like.end();
    if (estimate.probability < (same ? kToldApart : kPossible)) continue;
    event.ambiguous_with.push_back(name_of(isolation.hypotheses()[estimate.hypothesis]));
  }
  event.onset = best.onset;
  event.magnitude = best.magnitude;
  event.magnitude_std = best.magnitude_std;

  const double sensors = isolation.sensor_probability();
  if (accuses) {
    event.kind = sensors < 0.5 ? AnomalyKind::process : AnomalyKind::sensor;
  } else if (sensors >= FaultIsolation::kSure) {
    event.kind = AnomalyKind::sensor;
    event.test = "glr";
    event.statistic = best.statistic;
    event.threshold = FaultIsolation::kEvidence;
  }

  const double size = std::abs(best.magnitude);
  const bool up = best.magnitude > 0.0;
  const auto figure = [&](const std::string& unit) {
    event.magnitude_unit = unit;
    return quantity(size) + " ± " + quantity(best.magnitude_std, unit);
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
      if (!input.tag.empty() && std::find(event.tags.begin(), event.tags.end(), input.tag) == event.tags.end()) {
        event.tags.push_back(input.tag);
      }
      break;
    }
    case FaultKind::parameter: {
      const model::ParameterEffect& parameter = isolation.parameters()[hypothesis.at];
      event.message = "The process behaves as if " + parameter.name + " were " + figure(parameter.unit) +
                      (up ? " above the " : " below the ") + quantity(parameter.value, parameter.unit) +
                      " of its model.";
      event.advice = "Look for what has changed in the process (leak, blockage, fouling, wear).";
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
  if (of_sensor(hypothesis.kind)) {
    const std::string& tag = outputs_[hypothesis.at].setup.tag;
    const auto there = std::find(event.tags.begin(), event.tags.end(), tag);
    if (event.kind == AnomalyKind::sensor) {  // it comes first
      if (there != event.tags.end()) event.tags.erase(there);
      event.tags.insert(event.tags.begin(), tag);
    }
    event.advice = "Compare " + tag + " with an independent reading.";
    const bool sure = isolation_->isolation.sensor_probability(hypothesis.at) >= FaultIsolation::kSure;
    if (sure && isolation_->dispensable[hypothesis.at])
      event.advice += " Its values are not used until they agree again.";
  }
  if (!event.ambiguous_with.empty()) {
    event.message += " It may also be";
    for (std::size_t i = 0; i < event.ambiguous_with.size(); ++i) {
      event.message += (i == 0 ? " " : i + 1 == event.ambiguous_with.size() ? " or " : ", ") + event.ambiguous_with[i];
    }
    event.message += '.';
  }
}

}  // namespace twinkeeper::diagnosis
