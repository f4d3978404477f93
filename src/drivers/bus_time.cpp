#include "drivers/bus_time.hpp"

#include <algorithm>

#include "drivers/mbap.hpp"
#include "drivers/request_planner.hpp"
#include "drivers/rtu.hpp"
#include "drivers/serial_timing.hpp"

namespace twinkeeper::drivers {
namespace {

constexpr base::Duration kTimePerRequest = std::chrono::milliseconds{1};
constexpr base::Duration kLeastTime = std::chrono::milliseconds{10};

// One request and the longest line that may answer it; a free running instrument is asked nothing.
GroupTime line_group(const DeviceSettings& settings) {
  const LineSettings& line = settings.instrument;
  GroupTime one{.interval = settings.poll_interval};
  if (line.free_running()) return one;
  one.requests = 1;
  one.bytes = line.request.size() + static_cast<std::size_t>(line.max_line) + line.terminator.size();
  return one;
}

// What is asked in each interval; times are left open.
std::vector<GroupTime> groups_of(const DeviceSettings& settings) {
  if (settings.transmission_mode == TransmissionMode::LINE) return {line_group(settings)};
  std::vector<GroupTime> groups;
  for (const PollGroup& group : plan_requests(settings)) {
    GroupTime one{.interval = group.interval, .requests = group.requests.size()};
    for (const PlannedRequest& planned : group.requests) {
      ReadRequest request;
      request.function = function_code(planned.kind);
      request.count = planned.count;
      const bool tcp = settings.transmission_mode == TransmissionMode::TCP;
      one.bytes += tcp ? mbap::kRequestSize + mbap::reply_size(request) : rtu::kRequestSize + rtu::reply_size(request);
    }
    groups.push_back(one);
  }
  return groups;
}

}  // namespace

BusTime bus_time(std::span<const DeviceSettings> devices) {
  BusTime total;
  base::Duration sum{};
  base::Duration longest_timeout{};
  for (std::size_t device = 0; device < devices.size(); ++device) {
    const DeviceSettings& settings = devices[device];
    for (GroupTime& one : groups_of(settings)) {
      one.device = device;
      const auto requests = static_cast<std::int64_t>(one.requests);
      base::Duration busy = requests * (kTimePerRequest + settings.workarounds.pause_between_requests);
      if (is_serial(settings)) {
        const SerialTiming timing = timing_of(settings.line);
        busy += timing.duration_of(one.bytes) + 2 * requests * timing.frame_gap();  // before and behind the request
      }
      if (settings.workarounds.close_connection_after_gather) busy += settings.workarounds.pause_after_connect;
      one.time = std::max(kLeastTime, busy);
      one.time_with_timeout = one.time + (requests > 0 ? settings.timeout : base::Duration::zero());
      total.requests += one.requests;
      total.bytes += one.bytes;
      total.utilisation += static_cast<double>(busy.count()) / static_cast<double>(one.interval.count());
      if (total.groups.empty() || one.interval < total.shortest_interval) total.shortest_interval = one.interval;
      sum += busy;
      if (requests > 0) longest_timeout = std::max(longest_timeout, settings.timeout);
      total.groups.push_back(one);
    }
  }
  if (!total.groups.empty()) {
    total.time = std::max(kLeastTime, sum);
    total.time_with_timeout = total.time + longest_timeout;
  }
  return total;
}

}  // namespace twinkeeper::drivers
