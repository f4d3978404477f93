// What a transport's error means for the device behind it.
#pragma once

#include "drivers/device_statistics.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::drivers {

[[nodiscard]] inline DeviceError device_error(const base::Error& error) noexcept {
  return error.code() == base::ErrorCode::timeout ? DeviceError::no_answer : DeviceError::closed;
}

}  // namespace twinkeeper::drivers
