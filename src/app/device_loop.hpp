// One controller's thread: polls what is due and leaves the samples in a queue for the twin thread.
//
// Between two polls it sleeps on the poller's descriptor too: what an instrument says unasked is heard at once.
// A full queue drops the newest sample and counts it: the device is never waited for and never waits.
// Thread rule: run() is the body of one thread.
#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "app/heartbeat.hpp"
#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

using SampleQueue = base::BoundedQueue<signals::Sample>;

class DeviceLoop final : public drivers::SampleSink {
 public:
  DeviceLoop(std::vector<drivers::DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
             signals::EventSink& events);

  void run(std::stop_token stop, Heartbeat& heartbeat);
  void accept(signals::Sample&& sample) override { queue_.try_push(std::move(sample)); }

  [[nodiscard]] SampleQueue& queue() { return queue_; }
  [[nodiscard]] const drivers::Poller& poller() const { return *poller_; }

 private:
  void sleep(base::Duration longest);

  const base::Clock& clock_;
  SampleQueue queue_;
  base::WakeUp bell_;  // rung by a stop request
  std::unique_ptr<drivers::Poller> poller_;
};

}  // namespace twinkeeper::app
