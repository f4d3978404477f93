// What is published of a twin and of a device, in std types only.
#pragma once

#include <optional>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::telemetry {

enum class StateLayout { nested, flat };

struct StatePublishing {
  base::Duration state_interval = std::chrono::seconds{1};
  StateLayout layout = StateLayout::nested;
};

struct SamplePublishing {
  std::optional<base::Duration> interval;  // absent: raw samples are not published
};

}  // namespace twinkeeper::telemetry
