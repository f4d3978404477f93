// What is told to systemd (sd_notify). Without a service manager every call does nothing.
#pragma once

#include <optional>
#include <string>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app::systemd {

void ready(const std::string& status_text);
// Before a reload (`now` for systemd ≥ 253, which wants the time); ready() ends it.
void reloading(base::Instant now);
void stopping();
void status(const std::string& text);
void watchdog();

// How often watchdog() is expected, if at all (WatchdogSec of the unit).
[[nodiscard]] std::optional<base::Duration> watchdog_interval();

}  // namespace twinkeeper::app::systemd
