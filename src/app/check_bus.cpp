#include "app/check_report.hpp"
#include "drivers/bus_time.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {

using nlohmann::ordered_json;

namespace {

double milliseconds(base::Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

}  // namespace

ordered_json check_bus(const Plan& plan, const std::vector<std::size_t>& devices, std::vector<std::string>& warnings,
                       std::vector<std::string>& errors) {
  std::vector<drivers::DeviceSettings> settings;
  ordered_json names = ordered_json::array();
  for (const std::size_t d : devices) {
    settings.push_back(plan.config.devices[d].driver);
    names.push_back(settings.back().name);
  }
  const auto time = drivers::bus_time(settings);
  const std::string& controller = settings.front().controller;
  ordered_json groups = ordered_json::array();
  for (const auto& group : time.groups) {
    groups.push_back({{"device", settings[group.device].name},
                      {"interval_ms", milliseconds(group.interval)},
                      {"requests", group.requests},
                      {"bytes", group.bytes},
                      {"time_ms", milliseconds(group.time)},
                      {"time_with_timeout_ms", milliseconds(group.time_with_timeout)}});
  }
  if (!time.met()) {
    errors.push_back(controller + ": one cycle of " + std::to_string(time.requests) + " requests takes " +
                     base::format_duration(time.time) + ", longer than the poll interval of " +
                     base::format_duration(time.shortest_interval) + "; lengthen poll_interval or shorten pauses");
  } else if (!time.met_with_timeout()) {
    warnings.push_back(controller + ": one time-out makes a cycle take " +
                       base::format_duration(time.time_with_timeout) + ", longer than the poll interval of " +
                       base::format_duration(time.shortest_interval));
  }
  return {{"controller", controller},
          {"devices", names},
          {"requests_per_cycle", time.requests},
          {"bytes_per_cycle", time.bytes},
          {"time_ms", milliseconds(time.time)},
          {"time_with_timeout_ms", milliseconds(time.time_with_timeout)},
          {"shortest_interval_ms", milliseconds(time.shortest_interval)},
          {"utilisation", time.utilisation},
          {"groups", groups}};
}

}  // namespace twinkeeper::app
