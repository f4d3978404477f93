#include "drivers/endpoint_key.hpp"

#include <filesystem>
#include <system_error>

namespace twinkeeper::drivers {

std::string endpoint_key(const DeviceSettings& device) {
  if (device.transmission_mode != TransmissionMode::RTU) {
    return device.address.host + ":" + std::to_string(device.address.port);
  }
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(device.line.device, error);
  return error ? device.line.device : resolved.string();
}

}  // namespace twinkeeper::drivers
