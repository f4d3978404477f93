// What polling one controller costs, without touching it: for `check`.
//
//   time of one cycle = max(10 ms, Σ requests · (1 ms + pause_between_requests) [+ pause_after_connect, if
//                       the connection is closed after each gather])
//                       on a serial line also every byte's time and two silences of 3.5 characters for each request
//   A LINE instrument costs its request and a line of max_line bytes; a free running one nothing: it is asked nothing.
//   utilisation       = Σ over groups (time without the 10 ms floor) / interval; over 1 the intervals can't be met
// Thread rule: free functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

struct GroupTime {
  std::size_t device = 0;  // position in the span
  base::Duration interval{};
  std::size_t requests = 0;
  std::size_t bytes = 0;               // requests and replies, Modbus frames only
  base::Duration time{};               // of one cycle without faults, at least 10 ms
  base::Duration time_with_timeout{};  // the same with one time-out of the device
};

struct BusTime {
  std::vector<GroupTime> groups;
  // All groups due at once, as at the start and at common multiples of the intervals.
  std::size_t requests = 0;
  std::size_t bytes = 0;
  base::Duration time{};
  base::Duration time_with_timeout{};  // with the longest time-out among the devices
  base::Duration shortest_interval{};
  double utilisation = 0.0;

  [[nodiscard]] bool met() const noexcept { return time <= shortest_interval && utilisation <= 1.0; }
  [[nodiscard]] bool met_with_timeout() const noexcept { return time_with_timeout <= shortest_interval; }
};

// `devices` are those of one controller.
[[nodiscard]] BusTime bus_time(std::span<const DeviceSettings> devices);

}  // namespace twinkeeper::drivers
