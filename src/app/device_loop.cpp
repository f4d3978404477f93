#include "app/device_loop.hpp"

#include <algorithm>

#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/serial_transport.hpp"

namespace twinkeeper::app {
namespace {

// Room for what all registers give while the twin thread is away for a second.
std::size_t queue_capacity(const std::vector<drivers::DeviceSettings>& devices) {
  std::size_t per_second = 0;
  for (const auto& device : devices) {
    for (const auto& reg : device.registers) {
      per_second += 1 + static_cast<std::size_t>(std::chrono::seconds{1} /
                                                 std::max(reg.poll_interval, base::Duration{1'000'000}));
    }
  }
  return std::clamp<std::size_t>(per_second, 64, 8192);
}

std::unique_ptr<drivers::Transport> make_transport(const drivers::DeviceSettings& device, const base::Clock& clock) {
  return device.transmission_mode == drivers::TransmissionMode::RTU
             ? drivers::make_serial_transport(device.line, clock)
             : drivers::make_modbus_tcp_transport(device.address, clock);
}

constexpr base::Duration kLongestNap = std::chrono::seconds{1};

}  // namespace

DeviceLoop::DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin,
                       const base::Clock& clock, signals::EventSink& events)
    : clock_(clock),
      queue_(queue_capacity(devices)),
      poller_(devices, grid_origin, clock, *this, events, make_transport(devices.front(), clock)) {}

void DeviceLoop::run(std::stop_token stop, Heartbeat& heartbeat) {
  const std::stop_callback wake(stop, [this] { bell_.ring(); });
  while (!stop.stop_requested()) {
    const base::Instant next = poller_.poll_due(stop);
    heartbeat.beat(clock_.now());
    const base::Duration nap = std::min(next - clock_.now(), kLongestNap);
    if (nap > base::Duration::zero()) bell_.wait_for(nap);
  }
}

}  // namespace twinkeeper::app
