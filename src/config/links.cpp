// Connections: what a bus or a device says of one, completed and compared.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <system_error>

#include "config/checks.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

using drivers::TransmissionMode;

void check_delays(Reader& reader, const std::string& path, const drivers::Rs485Settings& rs485) {
  const auto whole = [&](const char* name, base::Duration delay) {
    if (delay % std::chrono::milliseconds{1} == base::Duration::zero()) return;
    reader.error(child_path(path, name), base::format_duration(delay) + " is no whole number of milliseconds",
                 "what the kernel can count: 0ms, 1ms, … 100ms");
  };
  whole("delay_rts_before_send", rs485.delay_rts_before_send);
  whole("delay_rts_after_send", rs485.delay_rts_after_send);
}

// The mode and the line's settings, those that are not given included.
void settle(Reader& reader, const std::string& path, LinkText& link) {
  drivers::LinkSettings& settings = link.settings;
  const bool serial = !settings.line.device.empty();
  if (!link.transmission_mode) link.transmission_mode = serial ? TransmissionMode::RTU : TransmissionMode::TCP;
  settings.transmission_mode = *link.transmission_mode;
  const bool lines = settings.transmission_mode == TransmissionMode::LINE;
  if (!lines && (settings.transmission_mode == TransmissionMode::RTU) != serial) {
    reader.error(child_path(path, "transmission_mode"), "does not go with " + quote(settings.controller),
                 "TCP or RTUoverTCP with tcp://, RTU with file://, LINE with either");
  }
  const auto only_serial = [&](const char* name, bool given) {
    if (serial || !given) return;
    reader.error(child_path(path, name), "belongs to a serial line", "a controller file:///dev/…, or no such key");
  };
  const auto settle_value = [&](const char* name, auto& given, auto& value) {
    only_serial(name, given.has_value());
    if (serial && !given) given = value;
    if (given) value = *given;
  };
  settle_value("baud_rate", link.baud_rate, settings.line.baud_rate);
  settle_value("data_bits", link.data_bits, settings.line.data_bits);
  settle_value("parity", link.parity, settings.line.parity);
  settle_value("stop_bits", link.stop_bits, settings.line.stop_bits);
  only_serial("rs485", settings.line.rs485.has_value());
  if (serial) {
    std::error_code error;
    settings.line.identity = std::filesystem::weakly_canonical(settings.line.device, error).string();
  }
  if (std::find(drivers::kBaudRates.begin(), drivers::kBaudRates.end(), settings.line.baud_rate) ==
      drivers::kBaudRates.end()) {
    reader.error(child_path(path, "baud_rate"), std::to_string(settings.line.baud_rate) + " is no usual rate",
                 "1200 2400 4800 9600 19200 38400 57600 115200 230400 460800 921600");
  }
  if (serial && !lines && settings.line.data_bits != 8) {
    reader.error(child_path(path, "data_bits"), std::to_string(settings.line.data_bits) + " can't carry RTU frames",
                 "8");
  }
  if (settings.line.rs485) check_delays(reader, child_path(path, "rs485"), *settings.line.rs485);
}

std::string place_of_link(const Reader& reader, const DeviceText& device) {
  return reader.place_of(child_path(device.path, device.bus ? "bus" : "controller"));
}

// An instrument does not care how a request ends that is another's up to its end.
std::string without_end(const drivers::LineSettings& instrument) {
  std::string request = instrument.request;
  while (!request.empty() && (request.back() == '\r' || request.back() == '\n')) request.pop_back();
  return request;
}

void refuse_same_request(Reader& reader, const DeviceText& device, const DeviceText& other) {
  reader.error(child_path(device.path, "line.request"),
               "is that of " + other.config.driver.name + " at " +
                   reader.place_of(child_path(other.path, "line.request")) + " on the same line: both would answer",
               "a request that only this instrument answers; all values of one instrument belong to one device");
}

// What speaks unasked is nobody's answer and everybody's noise.
void refuse_free_running(Reader& reader, const DeviceText& device, const DeviceText& other) {
  const auto unasked = [](const DeviceText& one) { return one.instrument && one.instrument->free_running(); };
  if (!unasked(device) && !unasked(other)) return;
  const std::string who = unasked(device) ? device.config.driver.name : other.config.driver.name;
  reader.error(child_path(device.path, device.bus ? "bus" : "controller"),
               device.config.driver.controller + " is that of " + other.config.driver.name + " at " +
                   place_of_link(reader, other) + ", and " + who + " has no line.request: it speaks unasked",
               "a line.request for each LINE instrument of one controller, or a controller of its own");
}

}  // namespace

void settle_buses(Reader& reader, ConfigText& text) {
  std::map<std::string, const BusText*> names;
  for (BusText& bus : text.buses) {
    if (!bus.good) continue;
    const auto [known, inserted] = names.emplace(bus.name, &bus);
    if (!inserted) {
      reader.error(child_path(bus.path, "name"),
                   quote(bus.name) + " is taken at " + reader.place_of(child_path(known->second->path, "name")),
                   "a name that no other bus has");
    }
    settle(reader, bus.path, bus.link);
    bus.link.settings.bus = bus.name;
  }
}

void check_reached(Reader& reader, DeviceText& device) {
  if (device.bus || device.link.has_controller) return;
  reader.error(child_path(device.path, "controller"), "missing", std::string(kControllerForm) + "; or a bus");
  device.good = false;
}

std::optional<TransmissionMode> written_mode(const DeviceText& device, const ConfigText& text) {
  if (!device.bus) return device.link.transmission_mode;
  for (const BusText& bus : text.buses) {
    if (bus.name == *device.bus) return bus.link.transmission_mode;
  }
  return std::nullopt;
}

bool settle_link(Reader& reader, DeviceText& device, const ConfigText& text) {
  drivers::LinkSettings& settings = device.config.driver;
  if (!device.bus) {
    settle(reader, device.path, device.link);
    device.at = &device.link;
    settings = device.link.settings;
    return true;
  }
  bool good = true;
  const auto belongs_to_the_bus = [&](const char* name, bool given) {
    if (!given) return;
    reader.error(child_path(device.path, name), "stands beside a bus",
                 "no such key: the bus " + quote(*device.bus) + " has it");
    good = false;
  };
  belongs_to_the_bus("controller", device.link.has_controller);
  belongs_to_the_bus("transmission_mode", device.link.transmission_mode.has_value());
  belongs_to_the_bus("baud_rate", device.link.baud_rate.has_value());
  belongs_to_the_bus("data_bits", device.link.data_bits.has_value());
  belongs_to_the_bus("parity", device.link.parity.has_value());
  belongs_to_the_bus("stop_bits", device.link.stop_bits.has_value());
  belongs_to_the_bus("rs485", device.link.settings.line.rs485.has_value());
  std::vector<std::string> names;
  for (const BusText& bus : text.buses) {
    names.push_back(bus.name);
    if (bus.name != *device.bus) continue;
    device.at = &bus.link;
    settings = bus.link.settings;
    return good && bus.good;
  }
  reader.error(child_path(device.path, "bus"), quote(*device.bus) + " names no bus" + did_you_mean(*device.bus, names),
               names.empty() ? "the name of a bus, of which there are none" : join(names));
  return false;
}

// Devices behind one controller share its connection, so what belongs to the connection must be the same.
void check_shared_connections(Reader& reader, const ConfigText& text) {
  std::map<std::string, const DeviceText*> first;
  std::map<std::pair<std::string, std::string>, const DeviceText*> first_asked;  // by connection and request
  for (const DeviceText& device : text.devices) {
    if (!device.good || device.at == nullptr) continue;
    const std::string connection = drivers::endpoint_key(device.config.driver);
    const auto [known, inserted] = first.emplace(connection, &device);
    if (device.mode == TransmissionMode::LINE && device.instrument && !device.instrument->free_running()) {
      const auto [like, alone] = first_asked.emplace(std::pair(connection, without_end(*device.instrument)), &device);
      if (!alone) refuse_same_request(reader, device, *like->second);
    }
    if (inserted) continue;
    const DeviceText& other = *known->second;
    if (device.mode == TransmissionMode::LINE && other.mode == TransmissionMode::LINE) {
      refuse_free_running(reader, device, other);
    }
    const drivers::Workarounds& mine = device.config.driver.workarounds;
    const drivers::Workarounds& theirs = other.config.driver.workarounds;
    const auto differs = [&](const std::string& name) {
      const std::string group = name.substr(0, name.find('.'));
      reader.error(child_path(device.path, name),
                   "differs from that of " + other.config.driver.name + " at " +
                       reader.place_of(child_path(other.path, group)) + ", which shares the connection to " +
                       device.config.driver.controller,
                   "the same value for every device of one controller");
    };
    if (mine.pause_after_connect != theirs.pause_after_connect) differs("workarounds.pause_after_connect");
    if (mine.close_connection_after_gather != theirs.close_connection_after_gather) {
      differs("workarounds.close_connection_after_gather");
    }
    if (device.at == other.at) continue;  // one bus
    const LinkText& my_link = *device.at;
    const LinkText& their_link = *other.at;
    if (my_link.transmission_mode != their_link.transmission_mode) differs("transmission_mode");
    if (my_link.baud_rate != their_link.baud_rate) differs("baud_rate");
    if (my_link.data_bits != their_link.data_bits) differs("data_bits");
    if (my_link.parity != their_link.parity) differs("parity");
    if (my_link.stop_bits != their_link.stop_bits) differs("stop_bits");
    if (my_link.settings.line.rs485 != their_link.settings.line.rs485) differs("rs485");
  }
}

}  // namespace twinkeeper::config
