// Devices: one read of each, or what the running service says of them.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/control_client.hpp"
#include "app/doctor.hpp"
#include "app/endpoints.hpp"
#include "app/probe_report.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/names.hpp"
#include "drivers/request_planner.hpp"
#include "drivers/serial_transport.hpp"

namespace twinkeeper::app::doctor {
namespace {

using drivers::DeviceError;
using drivers::TransmissionMode;

constexpr base::Duration kLongestTimeout = std::chrono::seconds{2};
constexpr base::Duration kServicePatience = std::chrono::seconds{3};

// The first register of the device by itself: what stands between two may be refused without harm.
drivers::PlannedRequest first_request(const drivers::DeviceSettings& device) {
  const auto groups = drivers::plan_requests(device);
  const drivers::PlannedRequest& request = groups.front().requests.front();
  drivers::DeviceSettings alone = device;
  alone.registers = {device.registers[request.fields.front().reg]};
  return drivers::plan_requests(alone).front().requests.front();
}

std::string probe_of(const drivers::DeviceSettings& device, const drivers::PlannedRequest& request) {
  std::string words = "twinkeeper probe " + shell_quoted(device.controller) + " --slave-id " +
                      std::to_string(device.slave_id) + " --register " + std::string(drivers::to_string(request.kind)) +
                      " --address " + std::to_string(request.address) + " --count " + std::to_string(request.count);
  if (device.transmission_mode == TransmissionMode::RTUoverTCP) words += " --transmission-mode RTUoverTCP";
  if (drivers::is_serial(device)) {
    const char* const parity = device.line.parity == drivers::Parity::even  ? "even"
                               : device.line.parity == drivers::Parity::odd ? "odd"
                                                                            : "none";
    words += " --baud-rate " + std::to_string(device.line.baud_rate) + " --parity " + parity + " --stop-bits " +
             std::to_string(device.line.stop_bits);
  }
  return words;
}

std::string mend_of_answer(const drivers::DeviceSettings& device, const drivers::PlannedRequest& request,
                           const drivers::ExchangeResult& result) {
  const std::string probe = probe_of(device, request);
  if (result.error == DeviceError::unavailable) {
    return drivers::is_serial(device)
               ? "see the line's findings above"
               : "ping " + device.address.host + "; is controller right, and Modbus switched on in the device? Then " +
                     probe;
  }
  if (result.error == DeviceError::exception) {
    return probe + ", then --scan-addresses: is the address zero-based, the register of this kind?";
  }
  return probe + " --scan-slaves 1:247: is slave_id right" +
         (drivers::is_serial(device) ? ", and baud_rate and parity?" : "?");
}

std::unique_ptr<drivers::Transport> transport_of(const drivers::DeviceSettings& device, const base::Clock& clock) {
  return drivers::is_serial(device) ? drivers::make_serial_transport(device.line, clock)
                                    : drivers::make_modbus_tcp_transport(device.address, clock);
}

Finding ask_device(const drivers::DeviceSettings& device, const base::Clock& clock, bool& reached) {
  Finding finding;
  finding.id = "device";
  finding.subject = device.name + " (" + device.controller + ")";
  if (device.transmission_mode == TransmissionMode::LINE) {
    if (drivers::is_serial(device)) {
      finding.found = "talks lines on a serial port, which is not opened here";
      return finding;
    }
    const auto connected = transport_of(device, clock)->connect(std::min(device.timeout, kLongestTimeout));
    reached = connected.ok();
    finding.found = reached ? "takes a connection; it was not listened to" : connected.error().message();
    if (reached) return finding;
    finding.mend = "ping " + device.address.host + "; is controller right, and is the serial server on?";
  } else {
    drivers::DeviceSettings asked = device;
    asked.timeout = std::min(device.timeout, kLongestTimeout);
    drivers::ProbeLink link(asked, transport_of(device, clock), clock, {});
    const auto planned = first_request(device);
    drivers::ReadRequest request;
    request.unit = static_cast<std::uint8_t>(device.slave_id);
    request.function = drivers::function_code(planned.kind);
    request.address = planned.address;
    request.count = planned.count;
    const auto result = link.read(request);
    reached = result.error != DeviceError::unavailable;
    if (result.error == DeviceError::none || drivers::is_busy(result)) {
      finding.found = "answers a read of " + std::string(drivers::to_string(planned.kind)) + " " +
                      std::to_string(planned.address) + " in " + milliseconds(result.finished - result.sent);
      return finding;
    }
    finding.found = failure_text(result, link.connection_error());
    finding.mend = mend_of_answer(device, planned, result);
  }
  finding.health = Health::failure;
  finding.code = kExitUnavailable;
  finding.cause = reached ? "no_data" : "not_reached";
  return finding;
}

// A port that is held or not to be opened is left alone: opening it would set it anew for whoever has it.
bool port_is_at_fault(const Group& serial_lines, const drivers::DeviceSettings& device) {
  const auto& findings = serial_lines.findings();
  return drivers::is_serial(device) && std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
           return finding.health == Health::failure && finding.subject == device.line.device;
         });
}

void ask_controller(const Plan& plan, const std::vector<std::size_t>& devices, const Group& serial_lines,
                    const base::Clock& clock, base::Instant until, std::vector<Finding>& findings) {
  bool reached = !port_is_at_fault(serial_lines, plan.config.devices[devices.front()].driver);
  for (const std::size_t number : devices) {
    const auto& device = plan.config.devices[number].driver;
    if (reached && clock.now() < until) {
      findings[number] = ask_device(device, clock, reached);
      continue;
    }
    const std::string why =
        reached ? "not asked: the devices before it took too long" : "not asked: its controller can't be had";
    findings[number] = {Health::warning,
                        "device",
                        device.name + " (" + device.controller + ")",
                        why,
                        "not_asked",
                        "mend what is said of its controller, then twinkeeper doctor again",
                        kExitDone};
  }
}

// The alarms of the running service; nothing if it can't be asked.
std::optional<nlohmann::json> alarms_of_service(const Plan& plan) {
  auto client = ControlClient::connect(control_socket_path(plan.config.gateway.control_socket));
  if (!client.ok() || !client.value().ask("alarms", "{}").ok()) return std::nullopt;
  const auto line = client.value().line(kServicePatience);
  if (!line.ok()) return std::nullopt;
  auto answer = nlohmann::json::parse(line.value(), nullptr, false);
  const auto alarms = answer.is_object() ? answer.find("alarms") : answer.end();
  if (!answer.is_object() || alarms == answer.end() || !alarms->is_array()) return std::nullopt;
  return *alarms;
}

// The device's newest trouble with being heard.
const nlohmann::json* alarm_of(const nlohmann::json& alarms, const std::string& device) {
  for (const auto& alarm : alarms) {
    if (alarm.value("kind", "") != "communication" || !alarm.value("standing", false)) continue;
    for (const auto& tag : alarm.value("tags", nlohmann::json::array())) {
      if (tag.is_string() && tag.get<std::string>().rfind(device + ".", 0) == 0) return &alarm;
    }
  }
  return nullptr;
}

// Many a device takes one connection and gives up the older: it is not asked beside the service.
void ask_service(const Plan& plan, Group& group) {
  const auto alarms = alarms_of_service(plan);
  if (!alarms) {
    group.warning("device", "", "not asked: the service reads them, and its control socket does not answer",
                  "run doctor as root or in the group twinkeeper, or stop the service first", "not_asked");
    return;
  }
  for (const auto& device : plan.config.devices) {
    const std::string subject = device.driver.name + " (" + device.driver.controller + ")";
    if (const auto* alarm = alarm_of(*alarms, device.driver.name)) {
      group.failure("device", subject, "the running service: " + alarm->value("message", ""),
                    alarm->value("advice", "twinkeeper alarms"), kExitUnavailable, "alarm");
    } else {
      group.ok("device", subject, "the running service has no alarm of its connection");
    }
  }
}

}  // namespace

Group examine_devices(const Plan& plan, const Circumstances& circumstances, const Group& serial_lines,
                      base::Duration within) {
  Group group("devices");
  if (circumstances.service_runs) {
    ask_service(plan, group);
    return group;
  }
  const base::SystemClock clock;
  const base::Instant until = clock.now() + within;
  std::vector<Finding> findings(plan.config.devices.size());
  {
    const auto controllers = group_by_controller(plan.config);
    std::vector<std::jthread> askers;
    for (const auto& devices : controllers) {
      askers.emplace_back([&, until] { ask_controller(plan, devices, serial_lines, clock, until, findings); });
    }
  }
  for (Finding& finding : findings) group.add(std::move(finding));
  return group;
}

}  // namespace twinkeeper::app::doctor
