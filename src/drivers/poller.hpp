// What app's loop holds of a controller, whatever its devices speak: called when something is due or readable, it asks
// or listens and gives samples. Has no thread of its own.
//
// Thread rule: one thread calls poll_due and descriptor; statistics() may be read from any.
#pragma once

#include <cstddef>
#include <stop_token>

#include "drivers/device_statistics.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

// After a cycle that ends later than this, poll_due returns before the next one: the caller shows a sign of life.
inline constexpr base::Duration kReturnAfter = std::chrono::milliseconds{100};
inline constexpr int kAddressesPerName = 2;  // "localhost" and the like: one of IPv4, one of IPv6
inline constexpr int kUnansweredBeforeBackOff = 2;
inline constexpr int kRestAfterTimeout = 4;  // time-outs that a slave rests whose reply may still come

class SampleSink {
 public:
  virtual ~SampleSink() = default;
  virtual void accept(signals::Sample&& sample) = 0;
};

class Poller {
 public:
  virtual ~Poller() = default;
  // Runs what is due and returns the instant of what is due next, which may have passed already; Instant::max() if
  // nothing ever is. After a stop request it returns as soon as the request under way has ended.
  virtual base::Instant poll_due(std::stop_token stop) = 0;
  // What, once readable, makes poll_due due at once: of devices that speak unasked. −1: nothing. May be another after
  // each poll_due.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }

  [[nodiscard]] virtual std::size_t device_count() const noexcept = 0;
  [[nodiscard]] virtual const DeviceStatistics& statistics(std::size_t device) const = 0;
  // The longest time that one poll_due may take, apart from the resolving of names.
  [[nodiscard]] virtual base::Duration longest_block() const noexcept = 0;
};

}  // namespace twinkeeper::drivers
