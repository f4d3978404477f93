// Waiting for what another thread or program is about to do.
#pragma once

#include <poll.h>

#include <functional>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::test {

// Looks at `condition` every `step` (whole milliseconds) until it holds or the time is over.
[[nodiscard]] inline bool eventually(base::Duration limit, const std::function<bool()>& condition,
                                     base::Duration step = std::chrono::milliseconds{20}) {
  const base::SystemClock clock;
  const base::Instant deadline = clock.now() + limit;
  while (!condition()) {
    if (clock.now() > deadline) return false;
    ::poll(nullptr, 0, static_cast<int>(step / std::chrono::milliseconds{1}));
  }
  return true;
}

}  // namespace twinkeeper::test
