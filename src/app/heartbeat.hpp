// A thread's sign of life, looked at by the supervisor before it pats systemd's watchdog.
//
// Each thread beats once per turn of its loop; `patience` is the longest turn that is legal for it (a poller may block
// for its time-outs, the uplink for a slow resolver). A thread that is later than that is hung, not busy.
#pragma once

#include <atomic>
#include <string>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app {

class Heartbeat {
 public:
  Heartbeat(std::string thread, base::Duration patience, base::Instant now)
      : thread_(std::move(thread)), patience_(patience), last_(now.time_since_epoch().count()) {}

  void beat(base::Instant now) noexcept { last_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }

  [[nodiscard]] bool alive(base::Instant now) const noexcept {
    return now - base::Instant{base::Duration{last_.load(std::memory_order_relaxed)}} <= patience_;
  }
  [[nodiscard]] const std::string& thread() const noexcept { return thread_; }
  [[nodiscard]] base::Duration patience() const noexcept { return patience_; }

 private:
  std::string thread_;
  base::Duration patience_;
  std::atomic<base::Duration::rep> last_;
};

}  // namespace twinkeeper::app
