#include <algorithm>

#include "app/check_report.hpp"
#include "drivers/bus_time.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {

using nlohmann::ordered_json;

namespace {

double in_ms(base::Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

// The key behind a group's interval: a register's own, or the device's.
std::string interval_path(const Plan& plan, std::size_t device, base::Duration interval) {
  const auto& driver = plan.config.devices[device].driver;
  const std::string path = path_of("devices", device, "poll_interval");
  if (interval == driver.poll_interval) return path;
  for (std::size_t r = 0; r < driver.registers.size(); ++r) {
    if (driver.registers[r].poll_interval != interval) continue;
    return path_of(path_of("devices", device, "registers"), r, "poll_interval");
  }
  return path;
}

void judge(const Plan& plan, const std::vector<std::size_t>& devices, const drivers::BusTime& time,
           Findings& findings) {
  if (time.groups.empty()) return;
  const auto path_of_group = [&](const drivers::GroupTime& group) {
    return interval_path(plan, devices[group.device], group.interval);
  };
  const bool lines = plan.config.devices[devices.front()].driver.transmission_mode == drivers::TransmissionMode::LINE;
  const std::string cycle = "one cycle of " + std::to_string(time.requests) + " requests on this connection";
  if (time.time > time.shortest_interval) {
    const auto shortest = std::min_element(time.groups.begin(), time.groups.end(),
                                           [](const auto& a, const auto& b) { return a.interval < b.interval; });
    findings.error(path_of_group(*shortest),
                   base::format_duration(time.shortest_interval) + " is less than the " +
                       base::format_duration(time.time) + " that " + cycle + " takes",
                   "at least " + base::format_duration(time.time) +
                       (lines ? ", or a shorter line.max_line" : ", or fewer requests and shorter pauses"));
  } else if (!time.met()) {
    const auto share = [](const drivers::GroupTime& group) {
      return static_cast<double>(group.time.count()) / static_cast<double>(group.interval.count());
    };
    const auto busiest = std::max_element(time.groups.begin(), time.groups.end(),
                                          [&](const auto& a, const auto& b) { return share(a) < share(b); });
    findings.error(path_of_group(*busiest),
                   "all requests together take " + short_number(100.0 * time.utilisation) +
                       " % of the time that this connection has",
                   "longer intervals, fewer requests or shorter pauses: at most 100 %");
  } else if (!time.met_with_timeout()) {
    const auto slowest = std::max_element(devices.begin(), devices.end(), [&](std::size_t a, std::size_t b) {
      return plan.config.devices[a].driver.timeout < plan.config.devices[b].driver.timeout;
    });
    findings.warn(path_of("devices", *slowest, "timeout"),
                  "with one time-out " + cycle + " takes " + base::format_duration(time.time_with_timeout) +
                      ", longer than the shortest poll_interval of " + base::format_duration(time.shortest_interval) +
                      ": polls are then left out");
  }
}

}  // namespace

ordered_json check_bus(const Plan& plan, const std::vector<std::size_t>& devices, Findings& findings) {
  std::vector<drivers::DeviceSettings> settings;
  ordered_json names = ordered_json::array();
  for (const std::size_t d : devices) {
    settings.push_back(plan.config.devices[d].driver);
    names.push_back(settings.back().name);
  }
  const auto time = drivers::bus_time(settings);
  ordered_json groups = ordered_json::array();
  for (const auto& group : time.groups) {
    groups.push_back({{"device", settings[group.device].name},
                      {"interval_ms", in_ms(group.interval)},
                      {"requests", group.requests},
                      {"bytes", group.bytes},
                      {"time_ms", in_ms(group.time)},
                      {"time_with_timeout_ms", in_ms(group.time_with_timeout)}});
  }
  judge(plan, devices, time, findings);
  return {{"bus", drivers::link_name(settings.front())},
          {"controller", settings.front().controller},
          {"devices", names},
          {"requests_per_cycle", time.requests},
          {"bytes_per_cycle", time.bytes},
          {"time_ms", in_ms(time.time)},
          {"time_with_timeout_ms", in_ms(time.time_with_timeout)},
          {"shortest_interval_ms", in_ms(time.shortest_interval)},
          {"utilisation", time.utilisation},
          {"groups", groups}};
}

}  // namespace twinkeeper::app
