#include "twinkeeper/base/clock.hpp"

#include <sys/timex.h>
#include <time.h>

#include <atomic>
#include <cerrno>

#include "base/clock_witness.hpp"
#include "base/timespec.hpp"

namespace twinkeeper::base {
namespace {

Duration read_clock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return std::chrono::seconds{ts.tv_sec} + std::chrono::nanoseconds{ts.tv_nsec};
}

std::atomic<bool> told_synchronised{true};

}  // namespace

bool kernel_tells_synchronised() {
  timex state{};
  return adjtimex(&state) != -1;
}

void tell_synchronised(bool synchronised) { told_synchronised.store(synchronised, std::memory_order_relaxed); }

Instant SystemClock::now() const { return Instant{read_clock(CLOCK_MONOTONIC)}; }

WallTime SystemClock::wall_now() const { return WallTime{read_clock(CLOCK_REALTIME)}; }

bool SystemClock::synchronised() const {
  timex state{};
  const int status = adjtimex(&state);
  return status == -1 ? told_synchronised.load(std::memory_order_relaxed) : status != TIME_ERROR;
}

void SystemClock::sleep_until(Instant deadline) const {
  const timespec ts = to_timespec(deadline.time_since_epoch());
  // clock_nanosleep returns the error instead of setting errno.
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr) == EINTR) {
  }
}

}  // namespace twinkeeper::base
