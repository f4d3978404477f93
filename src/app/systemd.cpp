#include "app/systemd.hpp"

#include <systemd/sd-daemon.h>

#include "app/event_log.hpp"

namespace twinkeeper::app::systemd {

void ready(const std::string& status_text) {
  sd_notifyf(0, "READY=1\nSTATUS=%s", escape_control_bytes(status_text).c_str());
}

void reloading(base::Instant now) {
  const long long us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", us);
}

void stopping() { sd_notify(0, "STOPPING=1"); }

void status(const std::string& text) { sd_notifyf(0, "STATUS=%s", escape_control_bytes(text).c_str()); }

void watchdog() { sd_notify(0, "WATCHDOG=1"); }

std::optional<base::Duration> watchdog_interval() {
  std::uint64_t us = 0;
  if (sd_watchdog_enabled(0, &us) <= 0) return std::nullopt;
  return std::chrono::microseconds{us};
}

}  // namespace twinkeeper::app::systemd
