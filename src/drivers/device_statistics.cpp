#include "drivers/device_statistics.hpp"

namespace twinkeeper::drivers {

std::string_view to_string(DeviceState state) noexcept {
  switch (state) {
    case DeviceState::unknown: return "unknown";
    case DeviceState::up: return "up";
    case DeviceState::degraded: return "degraded";
    case DeviceState::down: return "down";
  }
  return "unknown";
}

std::string_view to_string(DeviceError error) noexcept {
  switch (error) {
    case DeviceError::none: return "none";
    case DeviceError::no_answer: return "no answer";
    case DeviceError::unavailable: return "unavailable";
    case DeviceError::closed: return "connection closed";
    case DeviceError::mismatch: return "reply does not match";
    case DeviceError::exception: return "exception";
  }
  return "unknown";
}

}  // namespace twinkeeper::drivers
