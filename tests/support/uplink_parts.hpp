// What tests of the uplink share: a clock that stands still, a sink that remembers, a folder that goes away, messages.
#pragma once

#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::test {

class StandingClock final : public base::Clock {
 public:
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return wall_at_zero_ + now_.time_since_epoch(); }
  [[nodiscard]] bool synchronised() const override { return synchronised_; }
  void sleep_until(base::Instant) const override {}

  void advance(base::Duration step) { now_ += step; }
  void set_wall(base::WallTime wall) { wall_at_zero_ = wall - now_.time_since_epoch(); }
  void set_synchronised(bool synchronised) { synchronised_ = synchronised; }

 private:
  base::Instant now_{std::chrono::hours{1}};
  base::WallTime wall_at_zero_{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};
  bool synchronised_ = true;
};

class RememberingSink final : public signals::EventSink {
 public:
  void raise(signals::Event event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  [[nodiscard]] std::vector<signals::Event> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  [[nodiscard]] std::size_t count(const std::string& code) const {
    const std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const auto& event : events_) found += event.code == code ? 1 : 0;
    return found;
  }
  [[nodiscard]] std::string message(const std::string& code) const {
    const std::lock_guard lock(mutex_);
    for (const auto& event : events_) {
      if (event.code == code) return event.message;
    }
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::vector<signals::Event> events_;
};

inline signals::Message state_message(base::Instant time, std::size_t bytes = 100,
                                      const std::string& stream = "twins.tanks.state") {
  return {stream,
          "twinkeeper.state/1",
          signals::MessageClass::state,
          time,
          false,
          "\"twin\":\"tanks\",\"filler\":\"" + std::string(bytes, 'x') + "\""};
}

inline signals::Message anomaly_message(base::Instant time) {
  return {"twins.tanks.anomaly",
          "twinkeeper.anomaly/1",
          signals::MessageClass::anomaly,
          time,
          false,
          "\"anomaly\":\"tanks.level_2.stuck\""};
}

}  // namespace twinkeeper::test
