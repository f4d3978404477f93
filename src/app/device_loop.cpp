#include "app/device_loop.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/timespec.hpp"
#include "drivers/builtin_drivers.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kLinesPerSecond = 100;  // of an instrument that nobody asks
constexpr base::Duration kLongestNap = std::chrono::seconds{1};

}  // namespace

std::size_t sample_queue_capacity(const std::vector<drivers::DeviceSettings>& devices) {
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

DeviceLoop::DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin,
                       const base::Clock& clock, signals::EventSink& events, drivers::CaptureSink* capture,
                       std::size_t endpoint, std::function<void()> outcome_bell)
    : clock_(clock), queue_(sample_queue_capacity(devices)) {
  auto transport = drivers::make_transport(devices.front(), clock);
  if (capture != nullptr) {
    recorder_.emplace(endpoint, grid_origin, *capture);
    capturing_clock_.emplace(clock, *recorder_);
    transport = drivers::make_capturing_transport(std::move(transport), *recorder_);
  }
  const base::Clock& pollers_clock = capturing_clock_ ? static_cast<const base::Clock&>(*capturing_clock_) : clock;
  if (outcome_bell) writes_.emplace([this] { bell_.ring(); }, std::move(outcome_bell));
  poller_ = drivers::make_poller(std::move(devices), grid_origin, pollers_clock, *this, events, std::move(transport),
                                 writes());
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
    if (nap > base::Duration::zero()) sleep(nap);
  }
}

void DeviceLoop::sleep(base::Duration longest) {
  std::array<pollfd, 2> set{{{bell_.descriptor(), POLLIN, 0}, {poller_->descriptor(), POLLIN, 0}}};
  const timespec limit = base::to_timespec(longest);
  ::ppoll(set.data(), set.size(), &limit, nullptr);  // ignores a descriptor of −1
  bell_.wait_for(base::Duration::zero());            // takes its rings off
}

}  // namespace twinkeeper::app
