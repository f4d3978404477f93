// What is published of a twin and of a device, in std types only.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

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

// What can be asked of the gateway by a command.
inline constexpr std::array kCommandVerbs{"write",    "describe", "what-if",     "acknowledge", "shelve",
                                          "unshelve", "snapshot", "maintenance", "reload"};

// What may be asked of the gateway from outside.
struct CommandSettings {
  bool enabled = false;
  std::vector<std::string> allow;  // verbs
  base::Duration max_age = std::chrono::seconds{60};
  int per_minute = 10;
  bool require_synchronised_clock = true;  // else an age that can't be told is taken for true

  [[nodiscard]] bool allows(const std::string& verb) const {
    return enabled && std::find(allow.begin(), allow.end(), verb) != allow.end();
  }
  bool operator==(const CommandSettings&) const = default;
};

}  // namespace twinkeeper::telemetry
