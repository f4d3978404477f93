// What this process costs, for `metrics`, and the boot it runs in.
#pragma once

#include <cstdint>
#include <string>

namespace twinkeeper::app {

struct ProcessUsage {
  std::uint64_t rss_bytes = 0;
  double cpu_seconds = 0.0;  // user and system
};

// Reads /proc/self/statm and getrusage; zeros where /proc is hidden.
[[nodiscard]] ProcessUsage process_usage();

// The kernel's, "unknown" where /proc is hidden.
[[nodiscard]] std::string read_boot_id();

}  // namespace twinkeeper::app
