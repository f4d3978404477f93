// What an EndpointPoller keeps of one device: its plan, its grid of cycles, its state and its events.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/back_off.hpp"
#include "drivers/device_statistics.hpp"
#include "drivers/exchange.hpp"
#include "drivers/learned_plan.hpp"
#include "drivers/poller.hpp"
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

// The cycles of one poll interval: due at origin + m · interval, and once more at `ask_at` if that is set.
struct PolledGroup {
  base::Duration interval{};
  base::Instant origin;
  std::vector<std::size_t> registers;    // positions in DeviceSettings::registers
  std::vector<PlannedRequest> requests;  // for those that the device is not known to refuse
  std::uint64_t plan_version = 0;        // of the LearnedPlan that `requests` is from
  std::int64_t next_cycle = 0;
  std::optional<base::Instant> ask_at;
  std::size_t first_request = 0;  // where the next cycle begins
  DeviceState state = DeviceState::unknown;

  [[nodiscard]] base::Instant due() const noexcept { return ask_at ? std::min(*ask_at, on_grid()) : on_grid(); }
  [[nodiscard]] base::Instant on_grid() const noexcept { return base::grid_point(origin, interval, next_cycle); }
  // Cycles of the grid whose time has passed at `now`, next_cycle included.
  [[nodiscard]] std::int64_t passed(base::Instant now) const noexcept {
    return now < on_grid() ? 0 : (now - on_grid()) / interval + 1;
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
  void answered(base::Instant now, const PolledGroup& group) noexcept;
  // The next attempt after a back-off is one group's: they take turns, or the one with the shortest interval would
  // always be the one to fail.
  [[nodiscard]] bool left_alone(const PolledGroup& group, base::Instant now) const noexcept {
    return back_off.blocks(now) || (back_off.failed() && &group != &groups[next_to_retry_]);
  }
  // All groups but the one whose cycle is running are asked now, whatever their intervals: what was found out concerns
  // the whole device.
  void ask_others(base::Instant now, const PolledGroup& group) noexcept;
  // Ends a cycle: takes over its state and, unless other groups are to be asked first, raises an event if the device's
  // state has changed.
  void end_cycle(base::Instant now, PolledGroup& group, const CycleOutcome& outcome,
                 const std::string& connection_error, signals::EventSink& events);
  // Between cycles: takes over what has been learned since.
  void revise(PolledGroup& group);

  DeviceSettings settings;
  LearnedPlan plan;
  std::vector<PolledGroup> groups;
  DeviceStatistics statistics;
  BackOff back_off;
  DeviceError down_error = DeviceError::none;  // what led to the back-off

 private:
  [[nodiscard]] std::string describe_failure(const std::string& connection_error) const;
  [[nodiscard]] DeviceState combined_state() const noexcept;

  void tell_plan(base::Instant now, signals::EventSink& events);

  int unanswered_in_a_row_ = 0;
  std::uint64_t told_version_ = 0;
  std::optional<base::Instant> told_plan_at_;
  std::string told_plan_;
  std::size_t next_to_retry_ = 0;  // group
  ExchangeResult newest_failure_;
};

}  // namespace twinkeeper::drivers
