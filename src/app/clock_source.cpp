#include "app/clock_source.hpp"

#include <systemd/sd-bus.h>
#include <unistd.h>

#include <optional>

#include "base/clock_witness.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kSetInterval = 60s;
constexpr base::Duration kUnsetInterval = 10s;
constexpr std::uint64_t kPatienceUs = 2'000'000;

std::optional<bool> ask_timedated() {
  sd_bus* bus = nullptr;
  if (sd_bus_open_system(&bus) < 0) return std::nullopt;
  sd_bus_set_method_call_timeout(bus, kPatienceUs);
  int set = 0;
  const int done = sd_bus_get_property_trivial(bus, "org.freedesktop.timedate1", "/org/freedesktop/timedate1",
                                               "org.freedesktop.timedate1", "NTPSynchronized", nullptr, 'b', &set);
  sd_bus_flush_close_unref(bus);
  if (done < 0) return std::nullopt;
  return set != 0;
}

std::optional<bool> look_at_timesyncd() {
  if (::access("/run/systemd/timesync", F_OK) != 0) return std::nullopt;
  return ::access("/run/systemd/timesync/synchronized", F_OK) == 0;
}

}  // namespace

void ClockSource::look(base::Instant now) {
  if (now < next_) return;
  next_ = now + kSetInterval;
  if (base::kernel_tells_synchronised()) return;
  std::optional<bool> set = ask_timedated();
  if (!set) set = look_at_timesyncd();
  if (!set) {
    events_.raise({signals::EventLevel::warning, "service", "clock_unknown",
                   "nobody says whether the clock is set: neither timedated (package dbus) nor systemd-timesyncd; "
                   "it counts as set"});
    next_ = base::Instant::max();
    return;
  }
  base::tell_synchronised(*set);
  if (!*set) next_ = now + kUnsetInterval;
}

}  // namespace twinkeeper::app
