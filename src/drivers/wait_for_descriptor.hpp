// poll(2) for one descriptor until an absolute deadline.
#pragma once

#include <poll.h>

#include "base/timespec.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

// False once the deadline has passed. Errors and hang-ups count as ready: the next call on the descriptor tells which.
[[nodiscard]] inline bool wait_for(int descriptor, short events, const base::Clock& clock,
                                   base::Instant deadline) noexcept {
  while (true) {
    const base::Duration left = deadline - clock.now();
    if (left <= base::Duration::zero()) return false;
    const timespec timeout = base::to_timespec(left);
    pollfd entry{.fd = descriptor, .events = events, .revents = 0};
    if (::ppoll(&entry, 1, &timeout, nullptr) > 0) return true;
  }
}

}  // namespace twinkeeper::drivers
