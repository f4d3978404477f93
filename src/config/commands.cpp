// What commands may do: the section itself, and the registers that may be written.
#include <algorithm>
#include <map>

#include "config/checks.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using drivers::RegisterKind;
using drivers::ValueType;

constexpr const char* kWrite = "write";

// Of a register that is written as a whole.
bool is_number(const drivers::RegisterSettings& reg) {
  return reg.type != ValueType::STRING && reg.type != ValueType::BIT && !reg.bits;
}

void check_limits(Reader& reader, const WritableText& entry, const drivers::RegisterSettings& reg) {
  const auto missing = [&](const char* name) {
    reader.error(child_path(entry.path, name), "missing: no value is written outside of limits", "a number, scaled");
  };
  if (!entry.min_value) missing("min_value");
  if (!entry.max_value) missing("max_value");
  if (!entry.min_value || !entry.max_value) return;
  if (*entry.min_value >= *entry.max_value) {
    reader.error(child_path(entry.path, "min_value"),
                 format_number(*entry.min_value) + " is not below max_value " + format_number(*entry.max_value),
                 "min_value below max_value");
  }
  const RawRange range = raw_range(reg);
  const auto fits = [&](const char* name, double value) {
    const double raw = (value - reg.offset) / reg.scale;
    if (raw >= range.least && raw <= range.most) return;
    reader.error(child_path(entry.path, name),
                 format_number(value) + " is the raw value " + format_number(raw) + ", which the register can't hold",
                 "what its type, scale and offset allow");
  };
  fits("min_value", *entry.min_value);
  fits("max_value", *entry.max_value);
}

void resolve_writable(Reader& reader, DeviceText& device, WritableText& entry) {
  const auto named = [&](const RegisterText& reg) { return reg.settings.name == entry.name; };
  const auto found = std::find_if(device.registers.begin(), device.registers.end(), named);
  if (found == device.registers.end()) {
    std::vector<std::string> names;
    for (const RegisterText& reg : device.registers) names.push_back(reg.settings.name);
    reader.error(child_path(entry.path, "name"),
                 quote(entry.name) + " is no register of the device" + did_you_mean(entry.name, names),
                 "a register of this device");
    return;
  }
  if (!found->good) return;
  const drivers::RegisterSettings& reg = found->settings;
  entry.settings.reg = static_cast<std::size_t>(found - device.registers.begin());
  if (reg.kind == RegisterKind::coil) {
    for (const auto& [name, given] : {std::pair{"min_value", entry.min_value.has_value()},
                                      {"max_value", entry.max_value.has_value()},
                                      {"max_step", entry.settings.max_step.has_value()}}) {
      if (given) reader.error(child_path(entry.path, name), "has no meaning for a coil", "no such key");
    }
    return;
  }
  if (reg.kind != RegisterKind::holding || !is_number(reg)) {
    reader.error(child_path(entry.path, "name"),
                 quote(entry.name) + (reg.kind == RegisterKind::holding ? " is no number that fills its registers"
                                                                        : " is of a table that nobody can write"),
                 "a coil, or a holding register with a number");
    return;
  }
  check_limits(reader, entry, reg);
  entry.settings.min_value = entry.min_value.value_or(0.0);
  entry.settings.max_value = entry.max_value.value_or(0.0);
}

std::vector<std::pair<std::string, std::string>> verbs() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const char* verb : telemetry::kCommandVerbs) all.emplace_back(verb, verb);
  return all;
}

}  // namespace

const Table<WritableText>& writable_table() {
  using T = WritableText;
  static const Table<T> table(
      "a mapping with name, min_value and max_value",
      {
          key<T>("name", identifier(), &T::name, "A coil or holding register of the device", Need::required),
          key<T>("min_value", number(), &T::min_value, "Least scaled value that is written; not for coils"),
          key<T>("max_value", number(), &T::max_value, "Greatest scaled value that is written; not for coils"),
          key<T>(
              "max_step", number({.least = 0.0, .above_least = true}),
              [](auto& t) -> auto& { return t.settings.max_step; },
              "Largest change from the value that the register has"),
          key<T>(
              "per_minute", integer<int>(1, 600), [](auto& t) -> auto& { return t.settings.per_minute; },
              "How often it is written at most"),
          key<T>(
              "function", choice<bool>({{"single", false}, {"multiple", true}}),
              [](auto& t) -> auto& { return t.settings.multiple; },
              "single: functions 5 and 6 for one coil or word; multiple: 15 and 16 also for these"),
      });
  return table;
}

const Table<telemetry::CommandSettings>& commands_table() {
  using T = telemetry::CommandSettings;
  static const Table<T> table(
      "a mapping with enabled, allow, max_age, per_minute and require_synchronised_clock",
      {
          key<T>("enabled", boolean(), &T::enabled, "Whether the gateway listens to commands at all"),
          key<T>("allow", list(choice<std::string>(verbs())), &T::allow, "Verbs that are obeyed"),
          key<T>("max_age", duration(1s, 1h), &T::max_age, "Older commands are refused"),
          key<T>("per_minute", integer<int>(1, 600), &T::per_minute, "More commands than that are refused"),
          key<T>(
              "require_synchronised_clock", boolean(), &T::require_synchronised_clock,
              "Refuse all commands while no time source disciplines the gateway's clock, as their age can't be told"),
      });
  return table;
}

void resolve_commands(Reader& reader, ConfigText& text) {
  const bool may_write = text.commands.allows(kWrite);
  if (text.commands.enabled && text.commands.allow.empty()) {
    reader.warn("commands.allow", "is empty, so that every command is refused");
  }
  bool any = false;
  for (DeviceText& device : text.devices) {
    if (!device.good || device.writable.empty()) continue;
    any = true;
    if (device.mode == drivers::TransmissionMode::LINE) {
      reader.error(child_path(device.path, "writable"), "an instrument that talks lines of text is not written",
                   "no such key with transmission_mode LINE");
      continue;
    }
    if (!may_write) {
      reader.warn(child_path(device.path, "writable"),
                  "has no effect: commands are not enabled, or do not allow write");
    }
    std::map<std::string, std::string> names;
    for (WritableText& entry : device.writable) {
      if (!entry.good) continue;
      const auto [known, first] = names.emplace(entry.name, entry.path);
      if (!first) {
        reader.error(
            child_path(entry.path, "name"),
            quote(entry.name) + " is named at " + reader.place_of(child_path(known->second, "name")) + " already",
            "each register once");
        continue;
      }
      resolve_writable(reader, device, entry);
      device.config.driver.writable.push_back(entry.settings);
    }
  }
  if (may_write && !any) reader.warn("commands.allow", "allows write, but no device has a writable register");
  if (text.commands.enabled && !text.uplink) {
    reader.warn("commands.enabled", "has no effect without an uplink, through which commands come");
  }
}

}  // namespace twinkeeper::config
