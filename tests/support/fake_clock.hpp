// A clock that moves only when someone sleeps, so that hours of schedule run in milliseconds.
#pragma once

#include <functional>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::support {

class FakeClock final : public base::Clock {
 public:
  explicit FakeClock(base::Instant start) : now_(start) {}

  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override {
    return base::WallTime{std::chrono::seconds{1'800'000'000}} + now_.time_since_epoch() + wall_shift_;
  }
  [[nodiscard]] bool synchronised() const override { return synchronised_; }
  void sleep_until(base::Instant deadline) const override {
    if (deadline > now_) now_ = deadline;
    if (on_wake_) on_wake_(now_);
  }

  void advance(base::Duration duration) { now_ += duration; }
  void step_wall_clock(base::Duration by) { wall_shift_ += by; }
  void set_synchronised(bool synchronised) { synchronised_ = synchronised; }
  // Called at the end of each sleep.
  void on_wake(std::function<void(base::Instant)> action) { on_wake_ = std::move(action); }

 private:
  mutable base::Instant now_;
  base::Duration wall_shift_{};
  bool synchronised_ = true;
  std::function<void(base::Instant)> on_wake_;
};

}  // namespace twinkeeper::support
