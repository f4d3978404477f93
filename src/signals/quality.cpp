#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::signals {

std::string_view to_string(Quality quality) noexcept {
  switch (quality) {
    case Quality::good: return "good";
    case Quality::uncertain: return "uncertain";
    case Quality::bad: return "bad";
  }
  return "bad";
}

std::string_view to_string(Reason reason) noexcept {
  switch (reason) {
    case Reason::none: return "none";
    case Reason::stale: return "stale";
    case Reason::timeout: return "timeout";
    case Reason::exception: return "exception";
    case Reason::out_of_range: return "out_of_range";
    case Reason::rate_of_change: return "rate_of_change";
    case Reason::stuck: return "stuck";
    case Reason::spike: return "spike";
    case Reason::error_value: return "error_value";
    case Reason::not_finite: return "not_finite";
    case Reason::no_match: return "no_match";
    case Reason::saturated: return "saturated";
  }
  return "none";
}

}  // namespace twinkeeper::signals
