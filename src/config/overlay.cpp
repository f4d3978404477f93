#include "config/overlay.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/durable_file.hpp"
#include "config/scalar.hpp"
#include "config/suggestion.hpp"
#include "config/tables.hpp"

namespace twinkeeper::config {
namespace {

constexpr std::array<std::string_view, 4> kSections{"devices", "spool", "twins", "uplink"};
// Of `uplink`: what decides how much and how often, not where to and who with.
constexpr std::array<std::string_view, 10> kUplinkKeys{"backlog",
                                                       "backlog_after",
                                                       "defender_interval",
                                                       "digits",
                                                       "max_bytes_per_second",
                                                       "max_messages_per_second",
                                                       "shadow_interval",
                                                       "retain",
                                                       "status_interval",
                                                       "acknowledge_timeout"};
// Of a device and of a register: how often it is asked and how its values are judged, not what goes to which instrument:
// commands write by the same slave, address, type and scale.
constexpr std::array<std::string_view, 9> kDeviceKeys{
    "busy_retries",  "collection_jitter", "collection_offset", "optimization", "optimization_max_register_fill",
    "poll_interval", "publish",           "registers",         "timeout"};
constexpr std::array<std::string_view, 8> kRegisterKeys{"max_age",       "max_rate", "max_value",   "min_value",
                                                        "poll_interval", "publish",  "stuck_after", "unit"};
constexpr std::array<std::string_view, 3> kMayBeFiles{"diagnosis", "model", "registers"};

template <class Words>
bool is_one_of(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

template <class Words>
std::string list_of(const Words& words) {
  return join(std::vector<std::string>(words.begin(), words.end()));
}

const Entry* name_of(const Node& item) { return item.kind == NodeKind::mapping ? find(item, "name") : nullptr; }

class Layer {
 public:
  explicit Layer(Reader& reader) : reader_(reader) {}

  void sections(Node& base, const Cursor& at) {
    if (!is_mapping(at)) return;
    for (const Entry& entry : at.node->entries) {
      const Cursor below = at.key(entry);
      if (!is_one_of(kSections, entry.key)) {
        out_of_reach(entry, below, list_of(kSections));
      } else if (entry.key == "uplink") {
        if (is_mapping(below) && holds_only(below, kUplinkKeys)) put(base, below, entry);
      } else if (entry.key == "devices") {
        if (is_mapping(below) && devices_hold_only(below)) put(base, below, entry);
      } else {
        put(base, below, entry);
      }
    }
  }

 private:
  bool is_mapping(const Cursor& at) {
    return at.node->kind == NodeKind::mapping || refuse(reader_, at, "a mapping", "a mapping");
  }

  void out_of_reach(const Entry& entry, const Cursor& at, const std::string& accepted) {
    reader_.error_at(entry.mark, at, "can't be changed by an overlay", accepted);
  }

  template <class Words>
  bool holds_only(const Cursor& at, const Words& keys) {
    bool good = true;
    for (const Entry& entry : at.node->entries) {
      if (is_one_of(keys, entry.key)) continue;
      out_of_reach(entry, at.key(entry), list_of(keys));
      good = false;
    }
    return good;
  }

  // What is no mapping where one belongs is told when it is laid over.
  bool devices_hold_only(const Cursor& at) {
    bool good = true;
    for (const Entry& device : at.node->entries) {
      const Cursor of_device = at.key(device);
      good = holds_only(of_device, kDeviceKeys) && good;
      for (const Entry& entry : device.value.entries) {
        if (entry.key != "registers") continue;
        const Cursor list = of_device.key(entry);
        for (const Entry& one : entry.value.entries) good = holds_only(list.key(one), kRegisterKeys) && good;
      }
    }
    return good;
  }

  // `entry` of the overlay at `at` into the mapping `base`.
  void put(Node& base, const Cursor& at, const Entry& entry) {
    if (at.path.compare(0, 6, "twins.") == 0 && entry.key == "name") {
      return out_of_reach(entry, at, "the other keys of a twin");
    }
    if (is_one_of(kMayBeFiles, entry.key) && entry.value.kind != NodeKind::mapping) {
      reader_.error(at, "can't name a file here", "a mapping with what changes");
      return;
    }
    if (entry.value.kind == NodeKind::null) return reader_.error(at, "has no value", "a value");
    const auto found = std::find_if(base.entries.begin(), base.entries.end(),
                                    [&](const Entry& old) { return old.scalar_key && old.key == entry.key; });
    if (found == base.entries.end()) {
      if (entry.key == "devices" || entry.key == "twins") return reader_.error(at, "the file has none", "no such key");
      if (names_a_file(at)) return;
      base.entries.push_back(entry);
    } else {
      over(found->value, at, entry);
    }
  }

  void over(Node& old, const Cursor& at, const Entry& entry) {
    if (old.kind == NodeKind::mapping && entry.value.kind == NodeKind::mapping) {
      for (const Entry& inner : entry.value.entries) put(old, at.key(inner), inner);
    } else if (old.kind == NodeKind::sequence && entry.value.kind == NodeKind::mapping) {
      by_name(old, at, entry);
    } else if (old.kind == NodeKind::sequence && std::any_of(old.items.begin(), old.items.end(), name_of)) {
      reader_.error(at, "is no mapping by name", "a mapping from names to what changes");
    } else if (is_one_of(kMayBeFiles, entry.key) && old.kind == NodeKind::scalar) {
      reader_.error(at, "stands in a file of its own (" + shorten(old.text) + "), which an overlay does not reach",
                    "what the configuration file itself holds");
    } else if (!names_a_file(at)) {
      old = entry.value;
    }
  }

  void by_name(Node& list, const Cursor& at, const Entry& entry) {
    std::vector<std::string> known;
    for (const Node& item : list.items) {
      if (const Entry* name = name_of(item)) known.push_back(name->value.text);
    }
    for (const Entry& inner : entry.value.entries) {
      const Cursor below = at.key(inner);
      const auto found = std::find_if(list.items.begin(), list.items.end(), [&](const Node& item) {
        const Entry* name = name_of(item);
        return name != nullptr && name->value.text == inner.key;
      });
      if (found == list.items.end()) {
        reader_.error_at(inner.mark, below, "the file has nothing of this name" + did_you_mean(inner.key, known),
                         known.empty() ? "no names" : join(known));
      } else if (is_mapping(below)) {
        for (const Entry& change : inner.value.entries) put(*found, below.key(change), change);
      }
    }
  }

  // Deeper in what is taken over as a whole.
  bool names_a_file(const Cursor& at) {
    bool found = false;
    for (const Entry& entry : at.node->entries) {
      const Cursor below = at.key(entry);
      const bool names_file = is_one_of(kMayBeFiles, entry.key) && entry.value.kind != NodeKind::mapping;
      if (names_file) out_of_reach(entry, below, "the other keys");
      found = names_a_file(below) || found || names_file;
    }
    for (std::size_t i = 0; i < at.node->items.size(); ++i) {
      found = names_a_file(at.item(i)) || found;
    }
    return found;
  }

  Reader& reader_;
};

// Of the tree, as nothing is read yet.
std::string state_directory(Reader& reader) {
  const Entry* gateway = find(reader.root(), "gateway");
  const Entry* directory = gateway != nullptr && gateway->value.kind == NodeKind::mapping
                               ? find(gateway->value, "state_directory")
                               : nullptr;
  if (directory == nullptr || directory->value.kind != NodeKind::scalar) return ConfigText{}.gateway.state_directory;
  return std::filesystem::absolute(reader.resolve_path(directory->value.mark, directory->value.text))
      .lexically_normal()
      .string();
}

// Empty: there is none.
std::string text_of(Reader& reader, const LoadOptions& options, const std::string& file) {
  if (const auto other = options.replaced.find(file); other != options.replaced.end()) return other->second;
  std::error_code code;
  if (!std::filesystem::exists(file, code)) {
    if (code)
      reader.warn("gateway.state_directory",
                  file + " can't be looked for (" + code.message() + "): what it may change is not shown");
    return {};
  }
  auto text = base::content_of(file);
  if (text) return std::move(text).value();
  reader.warn("gateway.state_directory", text.error().message() + ": what it changes is not shown");
  return {};
}

}  // namespace

std::string overlay_file(const std::string& state_directory) { return state_directory + "/config_overlay.json"; }

std::optional<Overlay> lay_over(Reader& reader, const LoadOptions& options) {
  if (!options.overlay || reader.root().kind != NodeKind::mapping) return std::nullopt;
  Overlay overlay;
  overlay.file = overlay_file(state_directory(reader));
  const std::string text = text_of(reader, options, overlay.file);
  if (text.empty()) return std::nullopt;
  const Node* root = reader.parse_foreign(overlay.file, text);
  if (root == nullptr) return overlay;
  const Cursor whole{root, "", "", ""};
  const Entry* inner = root->kind == NodeKind::mapping ? find(*root, "overlay") : nullptr;
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (inner == nullptr || json.is_discarded()) {
    reader.error(whole, "is no overlay", "JSON: a mapping with version and overlay");
    return overlay;
  }
  overlay.text = json["overlay"].dump();
  if (json.contains("version") && json["version"].is_number_unsigned())
    overlay.version = json["version"].get<std::uint64_t>();
  Layer(reader).sections(reader.root(), {&inner->value, "", "", ""});
  return overlay;
}

}  // namespace twinkeeper::config
