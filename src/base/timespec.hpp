// Durations for system calls. Thread rule: free functions.
#pragma once

#include <time.h>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::base {

// tv_nsec has 32 bits where long has.
[[nodiscard]] inline timespec to_timespec(Duration duration) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  timespec out{};
  out.tv_sec = seconds.count();
  out.tv_nsec = static_cast<long>((duration - seconds).count());
  return out;
}

}  // namespace twinkeeper::base
