#include "diagnosis/sensor_reasons.hpp"

#include <algorithm>

namespace twinkeeper::diagnosis {
namespace {

using signals::Reason;

struct Wording {
  const char* finding;
  const char* advice;
  int severity;
  NamurStatus ne107;
};

Wording wording(Reason reason) {
  switch (reason) {
    case Reason::not_finite:
      return {"sends no number", "Check the transmitter and the data type of the register.", 600, NamurStatus::failure};
    case Reason::error_value:
      return {"reports an error instead of a value", "Read the diagnostics of the transmitter and check its wiring.",
              600, NamurStatus::failure};
    case Reason::out_of_range:
      return {"is outside its range", "Check the sensor and its wiring; if the value is real, check the limits.", 550,
              NamurStatus::off_spec};
    case Reason::rate_of_change:
      return {"moves faster than is possible", "Check the sensor for a loose contact or interference.", 500,
              NamurStatus::off_spec};
    default:
      return {"does not move any more", "Check whether the sensor is frozen, blocked or forced, then its wiring.", 600,
              NamurStatus::failure};
  }
}

}  // namespace

bool is_sensor_reason(Reason reason) noexcept {
  return std::find(kSensorReasons.begin(), kSensorReasons.end(), reason) != kSensorReasons.end();
}

bool is_silence(Reason reason) noexcept {
  return reason == Reason::timeout || reason == Reason::exception || reason == Reason::no_match ||
         reason == Reason::stale;
}

AlarmDefinition sensor_alarm(const std::string& id_prefix, Reason reason, const std::string& tag) {
  const Wording words = wording(reason);
  AlarmDefinition definition;
  definition.test = std::string(signals::to_string(reason));
  definition.id = id_prefix + "." + definition.test;
  definition.kind = AnomalyKind::sensor;
  definition.message = tag + " " + words.finding + ".";
  definition.message_cleared = tag + " gives plausible values again.";
  definition.advice = words.advice;
  definition.tags = {tag};
  definition.severity = words.severity;
  definition.ne107 = words.ne107;
  return definition;
}

}  // namespace twinkeeper::diagnosis
