#include <algorithm>
#include <utility>

#include "config/checks.hpp"

namespace twinkeeper::config {
namespace {

// "\\r" in plain or single quotes is a backslash and an r.
void warn_of_backslashes(Reader& reader, const std::string& path, const std::string& text) {
  for (std::size_t at = text.find('\\'); at != std::string::npos; at = text.find('\\', at + 1)) {
    if (at + 1 == text.size() || std::string_view("rntx0").find(text[at + 1]) == std::string_view::npos) continue;
    reader.warn(path,
                "holds a backslash and a letter as they stand: YAML makes a control character of them only in "
                "double quotes");
    return;
  }
}

void refuse_modbus_keys(Reader& reader, const DeviceText& device) {
  const auto refuse_key = [&](const std::string& name, const char* accepted) {
    if (!reader.has(child_path(device.path, name))) return;
    reader.error(child_path(device.path, name), "has no meaning for a LINE instrument", accepted);
  };
  for (const char* name :
       {"slave_id", "byte_order", "optimization", "optimization_max_register_fill", "busy_retries"}) {
    refuse_key(name, "no such key with transmission_mode LINE");
  }
  for (const char* name : {"one_request_per_field", "max_word_registers_per_request", "max_bit_registers_per_request",
                           "string_register_location", "close_connection_after_gather"}) {
    refuse_key("workarounds." + std::string(name), "pause_after_connect and pause_between_requests");
  }
}

}  // namespace

void settle_line_instrument(Reader& reader, DeviceText& device, const LoadOptions& options) {
  const std::string line = child_path(device.path, "line");
  if (device.mode != drivers::TransmissionMode::LINE) {
    if (device.instrument) {
      reader.error(line, "belongs to an instrument that talks lines of text",
                   "transmission_mode: LINE, or no such key");
    }
    for (const RegisterText& entry : device.registers) {
      if (!entry.group) continue;
      reader.error(child_path(entry.path, "group"), "belongs to an instrument that talks lines of text",
                   "transmission_mode: LINE, or register and address");
    }
    return;
  }
  refuse_modbus_keys(reader, device);
  if (!device.instrument) {
    reader.error(line, "missing", "a mapping with pattern, and request unless the instrument speaks by itself");
    return;
  }
  drivers::DeviceSettings settings = device.config.driver;
  settings.instrument = device.config.driver.instrument = *device.instrument;
  warn_of_backslashes(reader, child_path(line, "request"), settings.instrument.request);
  warn_of_backslashes(reader, child_path(line, "terminator"), settings.instrument.terminator);
  const bool all_good = std::all_of(device.registers.begin(), device.registers.end(),
                                    [](const RegisterText& entry) { return entry.good; });
  if (!all_good || !options.examine_line) return;
  for (const RegisterText& entry : device.registers) settings.registers.push_back(entry.settings);
  for (const auto& issue : options.examine_line(settings)) {
    reader.error(child_path(device.path, issue.path), issue.what, issue.accepted);
  }
}

}  // namespace twinkeeper::config
