// Alarms of augmented states, and of what they have taken over.
#include <algorithm>
#include <cmath>

#include "base/formatted.hpp"
#include "diagnosis/wording.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kSure = 5.0;      // standard deviations, as all that follow
constexpr double kDeparted = 2.0;  // from what it was
constexpr double kBack = 1.0;
constexpr double kShowing = 0.5;  // of √Σ_ii: less would not have raised an alarm
// Shares of the farthest that it was off: what else has wandered meanwhile does not count.
constexpr double kBackShare = 1.0 / 3.0;
constexpr double kAgainShare = 0.5;

std::string estimate(double value, double std, const std::string& unit) {
  return quantity(value) + " ± " + quantity(std, unit);
}

}  // namespace

AlarmDefinition TwinDiagnosis::deviation_definition(const AugmentedSetup& augmented) const {
  AlarmDefinition definition;
  definition.id = setup_.twin + "." + augmented.name + ".deviation";
  const bool of_sensor = augmented.kind == model::AugmentKind::sensor_bias;
  definition.kind = of_sensor ? AnomalyKind::sensor : AnomalyKind::process;
  definition.test = "deviation";
  definition.message_cleared = augmented.name + " of " + setup_.twin + " is within its limit again.";
  definition.advice = of_sensor ? "Compare " + augmented.of + " with an independent reading, and calibrate it."
                                : "Look for what has changed at " + augmented.of + " (wear, fouling, an unknown load).";
  definition.tags = augmented.tags;
  definition.severity = 600;
  definition.ne107 = of_sensor ? NamurStatus::off_spec : NamurStatus::maintenance_required;
  definition.unit = augmented.unit;
  definition.on_delay = setup_.settings.on_delay;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

void TwinDiagnosis::evaluate_augmented(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out) {
  const bool quiet = nothing_warns();
  if (!quiet) {
    quiet_since_.reset();
  } else if (!quiet_since_) {
    quiet_since_ = step.time;
  }
  // What has only just cleared may still be on its way into an augmented state.
  const bool settled = quiet && step.time - *quiet_since_ >= join_window_;
  bool departed = false;
  for (Augmented& augmented : augmented_) {
    const double value = step.x[augmented.setup.state];
    const double std = step.std[augmented.setup.state];
    if (settled) {
      augmented.before = value;
      augmented.farthest = 0.0;
    }
    const double off = std::abs(value - augmented.before);
    augmented.departed =
        off > (augmented.departed
                   ? std::max(kBack * std, kBackShare * augmented.farthest)
                   : std::max({kDeparted * std, kShowing / augmented.setup.effect, kAgainShare * augmented.farthest}));
    if (augmented.departed) augmented.farthest = std::max(augmented.farthest, off);
    departed = departed || augmented.departed;
  }
  bool kept = false;
  const auto keep = [&](AlarmHandle alarm) {
    book_.hold(alarm, departed);
    kept = kept || (departed && book_.active(alarm));
  };
  for (const Output& output : outputs_) {
    for (const AlarmHandle alarm : {output.gate, output.process, output.slow_drift}) keep(alarm);
  }
  keep(nis_alarm_);
  for (const Augmented& augmented : augmented_) {
    const bool stands = book_.active(augmented.alarm);
    const double deviation = std::abs(step.x[augmented.setup.state] - augmented.setup.usual);
    const double least = std::max(augmented.setup.limit, kSure * step.std[augmented.setup.state]);
    const bool beyond = deviation > (stands ? 0.5 : 1.0) * least && (stands || !augmented.departed || !kept);
    book_.update(augmented.alarm, beyond, step.time, out,
                 [&](AnomalyEvent& event) { describe_deviation(event, augmented, step); });
  }
}

void TwinDiagnosis::describe_deviation(AnomalyEvent& event, const Augmented& augmented,
                                       const estimation::TwinStep& step) const {
  const AugmentedSetup& setup = augmented.setup;
  const double value = step.x[setup.state];
  const double std = step.std[setup.state];
  event.magnitude = value - setup.usual;
  event.magnitude_std = std;
  event.statistic = std > 0.0 ? std::optional(std::abs(*event.magnitude) / std) : std::nullopt;
  event.threshold = kSure;
  if (event.event == AnomalyEventKind::cleared) return;
  const std::string size = estimate(std::abs(*event.magnitude), std, setup.unit);
  const std::string limit = ": more than the " + quantity(setup.limit, setup.unit) + " that its limit allows.";
  const bool up = *event.magnitude > 0.0;
  switch (setup.kind) {
    case model::AugmentKind::sensor_bias:
      event.message =
          "By what the twin estimates, " + setup.of + " reads " + size + (up ? " too high" : " too low") + limit;
      return;
    case model::AugmentKind::input_disturbance:
      event.message = "By what the twin estimates, " + size + (up ? " more" : " less") + " than " + setup.of +
                      " says acts on the process" + limit;
      return;
    case model::AugmentKind::parameter: break;
  }
  event.message = setup.of + " of " + setup_.twin + " is " + estimate(value, std, setup.unit) + ", " +
                  quantity(std::abs(*event.magnitude), setup.unit) + (up ? " above " : " below ") +
                  quantity(setup.usual, setup.unit) + limit;
}

bool TwinDiagnosis::describe_taken_over(AnomalyEvent& event, AlarmHandle alarm, const std::string& what) const {
  if (event.event != AnomalyEventKind::changed || !book_.kept(alarm)) return false;
  event.message = what + " agrees with the model only because the twin has taken over what was wrong:";
  const char* between = " ";
  for (const Augmented& augmented : augmented_) {
    if (!augmented.departed) continue;
    event.message +=
        between + augmented.setup.name + " is no longer " + quantity(augmented.before, augmented.setup.unit);
    between = ", ";
  }
  event.message += '.';
  return true;
}

}  // namespace twinkeeper::diagnosis
