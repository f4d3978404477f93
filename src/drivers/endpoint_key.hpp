// Devices with equal keys are reached through one connection.
#pragma once

#include <string>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

// Host and port, or the serial line with its links resolved as far as they exist now.
[[nodiscard]] std::string endpoint_key(const DeviceSettings& device);

}  // namespace twinkeeper::drivers
