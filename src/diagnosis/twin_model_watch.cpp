// The alarm of a model that does not fit its machine any more.
#include <algorithm>

#include "base/formatted.hpp"
#include "diagnosis/wording.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"

namespace twinkeeper::diagnosis {
AlarmDefinition TwinDiagnosis::model_definition() const {
  AlarmDefinition definition;
  definition.id = setup_.twin + ".model";
  definition.kind = AnomalyKind::model;
  definition.test = "model";
  definition.message_cleared = "The model of " + setup_.twin + " fits the machine again.";
  definition.advice =
      "Find out what was changed or has worn. If only sensors were changed, calibrate --after-maintenance with a "
      "healthy "
      "log; if the process was, identify the model again; if neither, calibrate with a longer log.";
  definition.severity = 400;
  definition.ne107 = NamurStatus::maintenance_required;
  definition.off_delay = setup_.settings.off_delay;
  return definition;
}

std::optional<std::size_t> TwinDiagnosis::regime_out_of_band() const {
  const std::int64_t least = setup_.settings.model.after / setup_.period;
  for (std::size_t place = 0; place < watch_.regimes(); ++place) {
    if (watch_.steps_outside(place) > least) return place;
  }
  return std::nullopt;
}

// While another alarm stands, what is measured is that fault's, and it is told already.
void TwinDiagnosis::evaluate_model(const estimation::TwinStep& step, bool anew, std::vector<AnomalyEvent>& out) {
  const auto place = static_cast<std::size_t>(regime_ + 1);
  const ModelBands& bands = limits().bands;
  if (bands.block > 0) {
    if (anew) watch_.part(place);
    const bool stands = book_.active(model_alarm_);
    if (book_.active_count() > (stands ? 1U : 0U)) {
      watch_.begin_block_anew(place);
    } else {
      for (std::size_t i = 0; i < outputs_.size(); ++i) z_[i] = outputs_[i].z;
      watch_.add(place, bands, z_.data(), step.nis, step.nis_dof, step.time);
    }
  }
  const std::optional<std::size_t> outside = regime_out_of_band();
  if (!outside && !book_.active(model_alarm_)) return;
  book_.update(model_alarm_, outside.has_value(), step.time, out, [&](AnomalyEvent& event) {
    if (outside && event.event == AnomalyEventKind::raised) describe_model(event, *outside);
  });
}

void TwinDiagnosis::describe_model(AnomalyEvent& event, std::size_t place) const {
  const ModelWatch::Outside& what = watch_.outside(place);
  const ModelBands& bands = limits_.of(static_cast<int>(place) - 1).bands;
  const Band& band = what.output ? bands.autocorrelation[*what.output] : bands.nis;
  const double hours =
      std::chrono::duration<double, std::ratio<3600>>(static_cast<double>(watch_.steps_outside(place)) * setup_.period)
          .count();
  event.onset = watch_.onset(place);
  event.test = what.output ? "autocorrelation" : "mean_nis";
  event.statistic = what.value;
  event.threshold = what.value > band.high ? band.high : band.low;
  add_evidence(event);
  event.tags.clear();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if ((!what.output || *what.output == i) && !outputs_[i].setup.tag.empty()) {
      event.tags.push_back(outputs_[i].setup.tag);
    }
  }
  event.message = "The model of " + setup_.twin + " has not fitted the machine for " + base::formatted("%.2g", hours) +
                  " h" + (place > 0 ? " in regime " + setup_.regimes[place - 1] : std::string()) + ": ";
  const std::string calibrated = " (" + base::formatted("%.2g", what.value) + ", calibrated " +
                                 base::formatted("%.2g", band.low) + " … " + base::formatted("%.2g", band.high) + ").";
  if (what.output) {
    event.message += "what " + outputs_[*what.output].setup.tag + " differs from it by " +
                     (what.value > band.high ? "lasts longer" : "changes sides more often") + " than it did" +
                     calibrated;
  } else {
    event.message += std::string("what the measurements differ from it by is ") +
                     (what.value > band.high ? "larger" : "smaller") + " than it was" + calibrated;
  }
}

}  // namespace twinkeeper::diagnosis
