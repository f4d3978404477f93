// Devices with equal keys are reached through one connection. Inline, so that config can ask without the drivers.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

// Host and port, or the serial line with its links resolved as far as they exist now.
[[nodiscard]] inline std::string endpoint_key(const DeviceSettings& device) {
  if (device.transmission_mode != TransmissionMode::RTU) {
    return device.address.host + ":" + std::to_string(device.address.port);
  }
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(device.line.device, error);
  return error ? device.line.device : resolved.string();
}

}  // namespace twinkeeper::drivers
