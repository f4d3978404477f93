// One controller's thread: polls what is due and leaves the samples in a queue for the twin thread.
//
// Between two polls it sleeps on the poller's descriptor too: what an instrument says unasked is heard at once.
// A full queue drops the newest sample and counts it: the device is never waited for and never waits.
// Thread rule: run() is the body of one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "app/heartbeat.hpp"
#include "drivers/capture.hpp"
#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "drivers/write_queue.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

using SampleQueue = base::BoundedQueue<signals::Sample>;
// Room for what all registers give while the twin thread is away for a second.
[[nodiscard]] std::size_t sample_queue_capacity(const std::vector<drivers::DeviceSettings>& devices);

class DeviceLoop final : public drivers::SampleSink {
 public:
  // `capture`: where to record what the poller is told, as connection `endpoint`; or nullptr. `outcome_bell`: rung when
  // an order to write was carried out; without it nothing is ever written.
  DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
             signals::EventSink& events, drivers::CaptureSink* capture = nullptr, std::size_t endpoint = 0,
             std::function<void()> outcome_bell = {});

  void run(std::stop_token stop, Heartbeat& heartbeat);
  void accept(signals::Sample&& sample) override;

  [[nodiscard]] SampleQueue& queue() { return queue_; }
  [[nodiscard]] drivers::WriteQueue* writes() { return writes_ ? &*writes_ : nullptr; }
  [[nodiscard]] const drivers::Poller& poller() const { return *poller_; }

 private:
  void sleep(base::Duration longest);

  const base::Clock& clock_;
  SampleQueue queue_;
  base::WakeUp bell_;  // rung by a stop request and by orders to write
  std::optional<drivers::TurnRecorder> recorder_;
  std::optional<drivers::CapturingClock> capturing_clock_;
  std::optional<drivers::WriteQueue> writes_;
  std::unique_ptr<drivers::Poller> poller_;
};

}  // namespace twinkeeper::app
