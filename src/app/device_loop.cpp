#include "app/device_loop.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "app/builtin_drivers.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kLinesPerSecond = 100;  // of an instrument that nobody asks

// Room for what all registers give while the twin thread is away for a second.
std::size_t queue_capacity(const std::vector<drivers::DeviceSettings>& devices) {
  std::size_t per_second = 0;
  for (const auto& device : devices) {
    const bool speaks_unasked =
        device.transmission_mode == drivers::TransmissionMode::LINE && device.instrument.free_running();
    if (speaks_unasked) per_second += kLinesPerSecond * device.registers.size();
    for (const auto& reg : device.registers) {
      per_second += 1 + static_cast<std::size_t>(std::chrono::seconds{1} /
                                                 std::max(reg.poll_interval, base::Duration{1'000'000}));
    }
  }
  return std::clamp<std::size_t>(per_second, 64, 8192);
}

constexpr base::Duration kLongestNap = std::chrono::seconds{1};

}  // namespace

DeviceLoop::DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin,
                       const base::Clock& clock, signals::EventSink& events)
    : clock_(clock),
      queue_(queue_capacity(devices)),
      poller_(make_poller(std::move(devices), grid_origin, clock, *this, events)) {}

void DeviceLoop::run(std::stop_token stop, Heartbeat& heartbeat) {
  const std::stop_callback wake(stop, [this] { bell_.ring(); });
  while (!stop.stop_requested()) {
    const base::Instant next = poller_->poll_due(stop);
    heartbeat.beat(clock_.now());
    const base::Duration nap = std::min(next - clock_.now(), kLongestNap);
    if (nap > base::Duration::zero()) sleep(nap);
  }
}

void DeviceLoop::sleep(base::Duration longest) {
  std::array<pollfd, 2> set{{{bell_.descriptor(), POLLIN, 0}, {poller_->descriptor(), POLLIN, 0}}};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const timespec limit{seconds.count(), (longest - seconds).count()};
  ::ppoll(set.data(), set.size(), &limit, nullptr);  // ignores a descriptor of −1
}

}  // namespace twinkeeper::app
