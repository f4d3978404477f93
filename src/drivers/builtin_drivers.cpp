#include "drivers/builtin_drivers.hpp"

#include <utility>

#include "drivers/endpoint_poller.hpp"
#include "drivers/line_poller.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/serial_transport.hpp"
#include "drivers/shared_line_poller.hpp"

namespace twinkeeper::drivers {

std::unique_ptr<Transport> make_transport(const DeviceSettings& device, const base::Clock& clock) {
  return is_serial(device) ? make_serial_transport(device.line, clock)
                           : make_modbus_tcp_transport(device.address, clock);
}

std::unique_ptr<Poller> make_poller(std::vector<DeviceSettings> devices, base::Instant grid_origin,
                                    const base::Clock& clock, SampleSink& samples, signals::EventSink& events,
                                    std::unique_ptr<Transport> transport, WriteQueue* writes) {
  DeviceSettings& first = devices.front();
  if (first.transmission_mode == TransmissionMode::LINE) {
    if (devices.size() > 1) {
      return std::make_unique<SharedLinePoller>(std::move(devices), grid_origin, clock, samples, events,
                                                std::move(transport));
    }
    return std::make_unique<LinePoller>(std::move(first), grid_origin, clock, samples, events, std::move(transport));
  }
  return std::make_unique<EndpointPoller>(std::move(devices), grid_origin, clock, samples, events, std::move(transport),
                                          writes);
}

}  // namespace twinkeeper::drivers
