#include <algorithm>
#include <filesystem>
#include <set>

#include "config/checks.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

constexpr const char* kRegistersForm = "a list of registers, the name of a register set, or a file with such a list";

// Puts the registers of one configuration in place: written at the device, in a set, or in a file.
class RegisterLists {
 public:
  RegisterLists(Reader& reader, const ConfigText& text) : reader_(reader) {
    if (!text.register_sets_at.given()) return;
    const Cursor& at = text.register_sets_at.at;
    if (at.node->kind != NodeKind::mapping) {
      refuse(reader_, at, "a mapping", "a mapping from names to lists of registers");
      return;
    }
    for (const Entry& entry : at.node->entries) {
      const Cursor set = at.key(entry);
      reader_.record(set);
      if (!is_identifier(entry.key)) {
        reader_.error_at(entry.mark, set, quote(entry.key) + " is no name",
                         "a letter or _, then up to 62 letters, digits or _");
      }
      names_.push_back(entry.key);
      sets_.emplace(entry.key, set);
    }
  }

  void read(DeviceText& device) {
    if (!device.registers_at.given()) return;
    const Cursor& at = device.registers_at.at;
    if (at.node->kind == NodeKind::scalar) {
      add_named(device, at);
    } else if (at.node->kind == NodeKind::sequence) {
      for (std::size_t i = 0; i < at.node->items.size(); ++i) {
        const Cursor item = at.item(i);
        if (item.node->kind == NodeKind::scalar) {
          add_named(device, item);
        } else {
          add(device, item);
        }
      }
      if (at.node->items.empty()) reader_.error(at, "no register", kRegistersForm);
    } else {
      device.good = false;
      refuse(reader_, at, "registers", kRegistersForm);
    }
  }

  // A set that no device uses is wrong all the same if it is wrong.
  void read_unused() {
    for (const auto& [name, set] : sets_) {
      if (used_.count(name) != 0) continue;
      DeviceText nobody;
      nobody.path = set.path;
      add_list(nobody, set, "");
    }
  }

 private:
  void add_named(DeviceText& device, const Cursor& at) {
    std::string name;
    if (!read_text(reader_, at, kRegistersForm, name)) {
      device.good = false;
      return;
    }
    const std::string note = reader_.used_by(at);
    if (const auto set = sets_.find(name); set != sets_.end()) {
      used_.insert(name);
      add_list(device, set->second, note);
      return;
    }
    if (name.find_first_of("./") == std::string::npos) {
      device.good = false;
      reader_.error(at, quote(name) + " names no register set" + did_you_mean(name, names_), kRegistersForm);
      return;
    }
    if (!is_plain_path(reader_, at, name)) {
      device.good = false;
      return;
    }
    const std::filesystem::path file = reader_.resolve_path(at.node->mark, name);
    auto opened = files_.find(file.string());
    if (opened == files_.end())
      opened = files_.emplace(file.string(), reader_.open(file, &at, "a list of registers")).first;
    if (opened->second) {
      add_list(device, *opened->second, note);
    } else {
      device.good = false;
    }
  }

  void add_list(DeviceText& device, Cursor list_at, const std::string& note) {
    list_at.note = note;
    if (list_at.node->kind != NodeKind::sequence) {
      device.good = false;
      refuse(reader_, list_at, "a list of registers", "a list of registers");
      return;
    }
    for (std::size_t i = 0; i < list_at.node->items.size(); ++i) add(device, list_at.item(i));
    if (list_at.node->items.empty()) reader_.error(list_at, "no register", "a list of registers");
  }

  void add(DeviceText& device, const Cursor& at) {
    const Cursor placed = at.as(child_path(child_path(device.path, "registers"), device.registers.size()));
    RegisterText entry;
    entry.path = placed.path;
    entry.good = register_table().read(reader_, placed, entry);
    if (entry.good) check_register(reader_, entry, device.config.driver.workarounds.string_register_location);
    device.registers.push_back(std::move(entry));
  }

  Reader& reader_;
  std::vector<std::string> names_;
  std::map<std::string, Cursor> sets_;
  std::set<std::string> used_;
  std::map<std::string, std::optional<Cursor>> files_;
};

// `first` maps a name to the path of its first use.
void check_unique(Reader& reader, std::map<std::string, std::string>& first, const std::string& name,
                  const std::string& path, const std::string& kind) {
  if (name.empty()) return;
  const auto [known, inserted] = first.emplace(name, path);
  if (inserted) return;
  reader.error(path, quote(name) + " is taken at " + reader.place_of(known->second),
               "a name that no other " + kind + " has");
}

void check_names(Reader& reader, const ConfigText& text) {
  std::map<std::string, std::string> taken;
  for (const DeviceText& device : text.devices) {
    check_unique(reader, taken, device.config.driver.name, child_path(device.path, "name"), "device or twin");
    std::map<std::string, std::string> registers;
    for (const RegisterText& entry : device.registers) {
      check_unique(reader, registers, entry.settings.name, child_path(entry.path, "name"), "register of the device");
    }
  }
  for (const TwinText& twin : text.twins) {
    check_unique(reader, taken, twin.name, child_path(twin.path, "name"), "device or twin");
  }
}

void check_device(Reader& reader, const DeviceText& device) {
  const drivers::DeviceSettings& driver = device.config.driver;
  const bool is_serial = !driver.line.device.empty();
  if (is_serial ? driver.slave_id < 1 || driver.slave_id > 247 : driver.slave_id > 247 && driver.slave_id != 255) {
    reader.error(child_path(device.path, "slave_id"), std::to_string(driver.slave_id) + " is reserved",
                 is_serial ? "1 to 247 on a serial line" : "1 to 247, over TCP also 0 and 255");
  }
  if (driver.collection_offset >= driver.poll_interval && driver.collection_offset.count() > 0) {
    reader.error(child_path(device.path, "collection_offset"),
                 base::format_duration(driver.collection_offset) + " is not below the poll_interval " +
                     base::format_duration(driver.poll_interval),
                 "less than the poll_interval");
  }
  const base::Duration latest = driver.collection_offset + driver.collection_jitter;
  if (driver.collection_offset < driver.poll_interval && latest >= driver.poll_interval) {
    reader.error(child_path(device.path, "collection_jitter"),
                 base::format_duration(driver.collection_jitter) + " and the collection_offset " +
                     base::format_duration(driver.collection_offset) + " reach beyond the poll_interval " +
                     base::format_duration(driver.poll_interval),
                 "together less than the poll_interval");
  }
  const auto& interval = device.config.publish.interval;
  if (interval && *interval < driver.poll_interval) {
    reader.warn(child_path(device.path, "publish.interval"),
                "shorter than the poll_interval: the same samples are published more than once");
  }
}

void fill_defaults(Reader& reader, DeviceText& device) {
  for (RegisterText& entry : device.registers) {
    if (!entry.good) continue;
    if (!entry.poll_interval) entry.poll_interval = device.config.driver.poll_interval;
    if (!entry.byte_order) entry.byte_order = device.config.driver.byte_order;
    if (!entry.max_age) {
      entry.max_age = 3 * *entry.poll_interval;
    } else if (*entry.max_age < *entry.poll_interval) {
      reader.error(child_path(entry.path, "max_age"),
                   base::format_duration(*entry.max_age) + " is less than the poll_interval " +
                       base::format_duration(*entry.poll_interval) + ", so that every value would be stale",
                   "at least the poll_interval");
    }
    drivers::RegisterSettings& settings = entry.settings;
    settings.type = entry.type.value_or(drivers::ValueType::UINT16);
    settings.byte_order = *entry.byte_order;
    settings.poll_interval = *entry.poll_interval;
    settings.scale = entry.scale.value_or(1.0);
    settings.offset = entry.offset.value_or(0.0);
    settings.scaled = entry.scale.has_value() || entry.offset.has_value();
    entry.options.validation.max_age = *entry.max_age;
  }
}

}  // namespace

void resolve_devices(Reader& reader, ConfigText& text) {
  settle_buses(reader, text);
  RegisterLists lists(reader, text);
  for (DeviceText& device : text.devices) {
    check_reached(reader, device);
    lists.read(device);
    if (!device.good) continue;
    if (!settle_link(reader, device, text)) continue;
    check_device(reader, device);
    fill_defaults(reader, device);
  }
  lists.read_unused();
  check_names(reader, text);
  check_shared_connections(reader, text);
}

Tags number_tags(ConfigText& text) {
  Tags tags;
  signals::TagIndex next = 0;
  for (DeviceText& device : text.devices) {
    for (RegisterText& entry : device.registers) {
      entry.settings.tag = next++;
      tags.emplace(device.config.driver.name + "." + entry.settings.name, TagReference{entry.settings.tag, &entry});
    }
  }
  return tags;
}

}  // namespace twinkeeper::config
