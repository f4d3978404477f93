// What an EndpointPoller keeps of one device: its plan, its grid of cycles, its state and its events.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "drivers/back_off.hpp"
#include "drivers/device_statistics.hpp"
#include "drivers/exchange.hpp"
#include "drivers/request_planner.hpp"
#include "drivers/settings.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::drivers {

// How the requests of one cycle ended.
struct CycleOutcome {
  std::size_t requests = 0;
  std::size_t answered = 0;  // by the device itself: data, or an exception of its own
  std::size_t good = 0;      // with data
  [[nodiscard]] DeviceState state() const noexcept;
};

// The cycles of one poll interval: due at origin + m · interval.
struct PolledGroup {
  base::Duration interval{};
  base::Instant origin;
  std::vector<PlannedRequest> planned;   // as planned
  std::vector<PlannedRequest> requests;  // the same, split where the device refuses an address range
  std::int64_t next_cycle = 0;
  std::size_t first_request = 0;  // where the next cycle begins
  DeviceState state = DeviceState::unknown;

  [[nodiscard]] base::Instant due() const noexcept { return base::grid_point(origin, interval, next_cycle); }
  // Cycles whose time has passed at `now`, next_cycle included.
  [[nodiscard]] std::int64_t passed(base::Instant now) const noexcept {
    return now < due() ? 0 : (now - due()) / interval + 1;
  }
};

class PolledDevice {
 public:
  PolledDevice(DeviceSettings device, base::Instant grid_origin, base::Instant now);

  void count_exchange(const ExchangeResult& result) noexcept;
  void count_unavailable() noexcept;  // a connection attempt for this device failed
  void found_unavailable() noexcept;  // nothing was tried: the connection is down
  // After a request without a matching reply; the second in a row starts the back-off.
  void left_unanswered(const ExchangeResult& result, PolledGroup& group, std::size_t request);
  void answered() noexcept;
  // Ends a cycle: takes over its state and raises an event if the device's state has changed.
  void end_cycle(PolledGroup& group, const CycleOutcome& outcome, const std::string& connection_error,
                 signals::EventSink& events);
  // A new connection may lead to a restarted device: refused address ranges are tried whole again.
  void restore_plan();

  DeviceSettings settings;
  std::vector<PolledGroup> groups;
  DeviceStatistics statistics;
  BackOff back_off;
  DeviceError down_error = DeviceError::none;  // what led to the back-off

 private:
  [[nodiscard]] std::string describe_failure(const std::string& connection_error) const;
  [[nodiscard]] DeviceState combined_state() const noexcept;

  int unanswered_in_a_row_ = 0;
  ExchangeResult newest_failure_;
};

}  // namespace twinkeeper::drivers
