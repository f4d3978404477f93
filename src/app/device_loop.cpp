#include "app/device_loop.hpp"

#include <algorithm>

#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/serial_transport.hpp"

namespace twinkeeper::app {
namespace {

std::unique_ptr<drivers::Transport> make_transport(const drivers::DeviceSettings& device, const base::Clock& clock) {
  return device.transmission_mode == drivers::TransmissionMode::RTU
             ? drivers::make_serial_transport(device.line, clock)
             : drivers::make_modbus_tcp_transport(device.address, clock);
}

constexpr base::Duration kLongestNap = std::chrono::seconds{1};

}  // namespace

std::size_t sample_queue_capacity(const std::vector<drivers::DeviceSettings>& devices) {
  std::size_t per_second = 0;
  for (const auto& device : devices) {
    for (const auto& reg : device.registers) {
      per_second += 1 + static_cast<std::size_t>(std::chrono::seconds{1} /
                                                 std::max(reg.poll_interval, base::Duration{1'000'000}));
    }
  }
  return std::clamp<std::size_t>(per_second, 64, 8192);
}

DeviceLoop::DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin,
                       const base::Clock& clock, signals::EventSink& events, drivers::CaptureSink* capture,
                       std::size_t endpoint)
    : clock_(clock), queue_(sample_queue_capacity(devices)) {
  auto transport = make_transport(devices.front(), clock);
  if (capture != nullptr) {
    recorder_.emplace(endpoint, grid_origin, *capture);
    capturing_clock_.emplace(clock, *recorder_);
    transport = drivers::make_capturing_transport(std::move(transport), *recorder_);
  }
  const base::Clock& pollers_clock = capturing_clock_ ? static_cast<const base::Clock&>(*capturing_clock_) : clock;
  poller_ = std::make_unique<drivers::EndpointPoller>(std::move(devices), grid_origin, pollers_clock, *this, events,
                                                      std::move(transport));
}

void DeviceLoop::accept(signals::Sample&& sample) {
  if (recorder_) recorder_->sample(sample);
  if (!queue_.try_push(std::move(sample)) && recorder_) recorder_->sample_found_no_room();
}

void DeviceLoop::run(std::stop_token stop, Heartbeat& heartbeat) {
  const std::stop_callback wake(stop, [this] { bell_.ring(); });
  while (!stop.stop_requested()) {
    const base::Instant next = poller_->poll_due(stop);
    if (recorder_) recorder_->end_turn(stop.stop_requested());
    heartbeat.beat(clock_.now());
    const base::Duration nap = std::min(next - clock_.now(), kLongestNap);
    if (nap > base::Duration::zero()) bell_.wait_for(nap);
  }
}

}  // namespace twinkeeper::app
