#include "twinkeeper/diagnosis/anomaly.hpp"

namespace twinkeeper::diagnosis {

std::string_view to_string(AnomalyEventKind event) noexcept {
  switch (event) {
    case AnomalyEventKind::raised: return "raised";
    case AnomalyEventKind::changed: return "changed";
    case AnomalyEventKind::acknowledged: return "acknowledged";
    case AnomalyEventKind::shelved: return "shelved";
    case AnomalyEventKind::unshelved: return "unshelved";
    case AnomalyEventKind::suppressed: return "suppressed";
    case AnomalyEventKind::unsuppressed: return "unsuppressed";
    case AnomalyEventKind::cleared: return "cleared";
  }
  return "raised";
}

std::string_view to_string(AnomalyState state) noexcept {
  switch (state) {
    case AnomalyState::active: return "active";
    case AnomalyState::acknowledged: return "acknowledged";
    case AnomalyState::returned: return "returned";
    case AnomalyState::shelved: return "shelved";
    case AnomalyState::suppressed: return "suppressed";
  }
  return "active";
}

std::string_view to_string(AnomalyKind kind) noexcept {
  switch (kind) {
    case AnomalyKind::sensor: return "sensor";
    case AnomalyKind::process: return "process";
    case AnomalyKind::model: return "model";
    case AnomalyKind::communication: return "communication";
    case AnomalyKind::gateway: return "gateway";
  }
  return "sensor";
}

std::string_view to_string(Priority priority) noexcept {
  switch (priority) {
    case Priority::none: return "none";
    case Priority::low: return "low";
    case Priority::medium: return "medium";
    case Priority::high: return "high";
    case Priority::critical: return "critical";
  }
  return "none";
}

std::string_view to_string(NamurStatus status) noexcept {
  switch (status) {
    case NamurStatus::normal: return "NORMAL";
    case NamurStatus::failure: return "FAILURE";
    case NamurStatus::check_function: return "CHECK_FUNCTION";
    case NamurStatus::off_spec: return "OFF_SPEC";
    case NamurStatus::maintenance_required: return "MAINTENANCE_REQUIRED";
  }
  return "NORMAL";
}

Priority priority_of(int severity) noexcept {
  if (severity <= 400) return Priority::low;
  if (severity <= 600) return Priority::medium;
  if (severity <= 800) return Priority::high;
  return Priority::critical;
}

}  // namespace twinkeeper::diagnosis
