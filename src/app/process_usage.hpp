// What this process costs: for `metrics`.
#pragma once

#include <cstdint>

namespace twinkeeper::app {

struct ProcessUsage {
  std::uint64_t rss_bytes = 0;
  double cpu_seconds = 0.0;  // user and system
};

// Reads /proc/self/statm and getrusage; zeros where /proc is hidden.
[[nodiscard]] ProcessUsage process_usage();

}  // namespace twinkeeper::app
