// The two clocks of the product, kept apart by type.
//
// Instant   CLOCK_MONOTONIC in signed nanoseconds. Everything that orders, ages, times out or steps uses it; a step of
//           the wall clock can therefore never reach the twin.
// WallTime  CLOCK_REALTIME in signed nanoseconds since 1970 (UTC). Only what leaves the gateway carries it; an Instant
//           is turned into a WallTime in one place, Clock::to_wall.
#pragma once

#include <chrono>
#include <cstdint>

namespace twinkeeper::base {

using Duration = std::chrono::nanoseconds;

struct MonotonicTimeline {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicTimeline, duration>;
  static constexpr bool is_steady = true;
};

using Instant = MonotonicTimeline::time_point;
using WallTime = std::chrono::sys_time<Duration>;
inline constexpr WallTime kClockIsSet{std::chrono::sys_days{std::chrono::year{2024} / 1 / 1}};  // before it: never set

// Thread rule: every call may come from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  // Whether the kernel says that the wall clock is disciplined by a time source (adjtimex state is not TIME_ERROR).
  [[nodiscard]] virtual bool synchronised() const = 0;
  // Returns at `deadline` or later; an interrupted sleep goes on.
  virtual void sleep_until(Instant deadline) const = 0;

  [[nodiscard]] WallTime to_wall(Instant instant) const { return wall_now() - (now() - instant); }
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] WallTime wall_now() const override;
  [[nodiscard]] bool synchronised() const override;
  void sleep_until(Instant deadline) const override;
};

// The k-th point of a grid, without accumulating anything.
[[nodiscard]] constexpr Instant grid_point(Instant origin, Duration period, std::int64_t k) {
  return origin + Duration{period.count() * k};
}

// The number of the grid point nearest to `instant`; exact halves go to the later point.
[[nodiscard]] constexpr std::int64_t nearest_grid_point(Instant origin, Duration period, Instant instant) {
  const std::int64_t p = period.count();
  const std::int64_t shifted = (instant - origin).count() + p / 2;
  const std::int64_t quotient = shifted / p;
  return (shifted % p < 0) ? quotient - 1 : quotient;  // floor division, also before the origin
}

}  // namespace twinkeeper::base
