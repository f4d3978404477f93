#include "app/process_usage.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace twinkeeper::app {

ProcessUsage process_usage() {
  ProcessUsage usage;
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (std::ifstream statm("/proc/self/statm"); statm >> total_pages >> resident_pages) {
    usage.rss_bytes = resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  rusage spent{};
  if (getrusage(RUSAGE_SELF, &spent) == 0) {
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    usage.cpu_seconds = seconds(spent.ru_utime) + seconds(spent.ru_stime);
  }
  return usage;
}

std::string read_boot_id() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id.empty() ? "unknown" : id;
}

}  // namespace twinkeeper::app
