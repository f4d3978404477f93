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
// The first answer judges checkpoints, and at boot timedated is started by the question.
constexpr std::uint64_t kFirstPatienceUs = 10'000'000;
constexpr std::uint64_t kPatienceUs = 2'000'000;
constexpr int kUnansweredTold = 3;

std::optional<bool> ask_timedated(std::uint64_t patience_us) {
  sd_bus* bus = nullptr;
  if (sd_bus_open_system(&bus) < 0) return std::nullopt;
  sd_bus_set_method_call_timeout(bus, patience_us);
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
  const bool first = next_ == base::Instant::min();
  next_ = now + kSetInterval;
  if (base::kernel_tells_synchronised()) return;
  std::optional<bool> set = ask_timedated(first ? kFirstPatienceUs : kPatienceUs);
  if (!set) set = look_at_timesyncd();
  if (set) {
    unanswered_ = 0;
    base::tell_synchronised(*set);
  } else if (++unanswered_ == kUnansweredTold) {
    events_.raise({signals::EventLevel::warning, "service", "clock_unknown",
                   "nobody says whether the clock is set: neither timedated (package dbus) nor systemd-timesyncd; "
                   "what was said last counts, and else it counts as set"});
  }
  const bool settled = set ? *set : unanswered_ >= kUnansweredTold;
  if (!settled) next_ = now + kUnsetInterval;
}

}  // namespace twinkeeper::app
