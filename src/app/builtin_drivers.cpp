#include "app/builtin_drivers.hpp"

#include <utility>

#include "drivers/endpoint_poller.hpp"
#include "drivers/line_poller.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/serial_transport.hpp"

namespace twinkeeper::app {

std::unique_ptr<drivers::Poller> make_poller(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin,
                                             const base::Clock& clock, drivers::SampleSink& samples,
                                             signals::EventSink& events) {
  drivers::DeviceSettings& first = devices.front();
  auto transport = drivers::is_serial(first) ? drivers::make_serial_transport(first.line, clock)
                                             : drivers::make_modbus_tcp_transport(first.address, clock);
  if (first.transmission_mode == drivers::TransmissionMode::LINE) {
    return std::make_unique<drivers::LinePoller>(std::move(first), grid_origin, clock, samples, events,
                                                 std::move(transport));
  }
  return std::make_unique<drivers::EndpointPoller>(std::move(devices), grid_origin, clock, samples, events,
                                                   std::move(transport));
}

}  // namespace twinkeeper::app
