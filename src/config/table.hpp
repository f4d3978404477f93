// Tables of keys. One table per mapping of the configuration is the only description of it: the reader, the JSON Schema
// and the expanded text are all derived from it.
//
//   Type<V>   how one value is read from a node, written back, and described (accepted text, schema)
//   Key<T>    a named value of a struct T, with its type, description and whether it must be given
//   Table<T>  the keys of one mapping
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/reader.hpp"
#include "config/scalar.hpp"
#include "config/suggestion.hpp"

namespace twinkeeper::config {

using Json = nlohmann::ordered_json;

template <class V>
struct Type {
  std::string accepted;
  Json schema;
  // False after an error was reported; the value is then unspecified.
  std::function<bool(Reader&, const Cursor&, V&)> read;
  std::function<Json(const V&)> write;
};

enum class Need { optional, required };

template <class T>
struct Key {
  std::string name;
  std::string description;
  Need need = Need::optional;
  std::string accepted;
  Json schema;
  std::function<bool(Reader&, const Cursor&, T&)> read;
  std::function<std::optional<Json>(const T&)> write;  // nothing: an absent optional value, not written
  // Whether a required key is, by what the keys before it in the table say; the schema says it by `extra`.
  std::function<bool(const T&)> needed = {};
};

// "expected <accepted>, got <what it is>", except for nulls and refused nodes, which have their own words or none.
bool refuse(Reader& reader, const Cursor& at, const std::string& expected, const std::string& accepted);

template <class T>
class Table {
 public:
  // `extra`: what the schema says beyond its keys.
  Table(std::string accepted, std::vector<Key<T>> keys, Json extra = Json::object())
      : accepted_(std::move(accepted)), keys_(std::move(keys)), extra_(std::move(extra)) {
    for (const Key<T>& key : keys_) names_.push_back(key.name);
  }

  bool read(Reader& reader, const Cursor& at, T& target) const {
    if (at.node->kind != NodeKind::mapping) return refuse(reader, at, "a mapping", accepted_);
    reader.record(at);
    bool good = true;
    for (const Entry& entry : at.node->entries) {
      if (std::find(names_.begin(), names_.end(), entry.key) != names_.end()) continue;
      reader.error_at(entry.mark, at.key(entry), "unknown key" + did_you_mean(entry.key, names_), join(names_));
      good = false;
    }
    for (const Key<T>& key : keys_) {
      const Entry* entry = find(*at.node, key.name);
      if (entry != nullptr) {
        const Cursor value = at.key(*entry);
        reader.record(value);
        good = key.read(reader, value, target) && good;
      } else if (key.need == Need::required && (!key.needed || key.needed(target))) {
        Cursor missing = at;
        missing.shown = child_path(at.shown, key.name);
        reader.error(missing, "missing", key.accepted);
        good = false;
      }
    }
    return good;
  }

  [[nodiscard]] Json write(const T& value) const {
    Json out = Json::object();
    for (const Key<T>& key : keys_) {
      auto written = key.write(value);
      // An empty text, list or mapping means the same as an absent one everywhere.
      const bool empty = !written || *written == Json("") || (written->is_structured() && written->empty());
      if (!empty) out[key.name] = std::move(*written);
    }
    return out;
  }

  [[nodiscard]] Json schema() const {
    Json properties = Json::object();
    Json required = Json::array();
    const T defaults{};
    for (const Key<T>& key : keys_) {
      Json property = key.schema;
      property["description"] = key.description;
      if (key.need == Need::required && !key.needed) {
        required.push_back(key.name);
      } else if (const auto written = key.write(defaults);
                 written && !written->is_structured() && *written != Json("")) {
        property["default"] = *written;
      }
      properties[key.name] = std::move(property);
    }
    Json out = {{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
    if (!required.empty()) out["required"] = std::move(required);
    out.update(extra_);
    return out;
  }

  [[nodiscard]] const std::string& accepted() const { return accepted_; }

 private:
  std::string accepted_;
  std::vector<Key<T>> keys_;
  Json extra_;
  std::vector<std::string> names_;
};

template <class>
inline constexpr bool kIsOptional = false;
template <class V>
inline constexpr bool kIsOptional<std::optional<V>> = true;

// A key whose value lies where `access` (a member pointer or `auto& (auto& t)`) says; V or std::optional<V>.
template <class T, class V, class Access>
Key<T> key(std::string name, Type<V> type, Access access, std::string description, Need need = Need::optional) {
  using Place = std::remove_cvref_t<std::invoke_result_t<Access, T&>>;
  Key<T> out;
  out.name = std::move(name);
  out.description = std::move(description);
  out.need = need;
  out.accepted = type.accepted;
  out.schema = type.schema;
  out.read = [read = type.read, access](Reader& reader, const Cursor& at, T& target) {
    if constexpr (kIsOptional<Place> && !kIsOptional<V>) {
      V value{};
      if (!read(reader, at, value)) return false;
      std::invoke(access, target) = std::move(value);
      return true;
    } else {
      return read(reader, at, std::invoke(access, target));
    }
  };
  out.write = [write = type.write, access](const T& source) -> std::optional<Json> {
    const auto& place = std::invoke(access, source);
    if constexpr (kIsOptional<Place> && !kIsOptional<V>) {
      if (!place) return std::nullopt;
      return write(*place);
    } else {
      return write(place);
    }
  };
  return out;
}

// A nested mapping. Reading changes only what is given, so that one mapping can be laid over another.
template <class T>
Type<T> mapping(const Table<T>& table) {
  return {table.accepted(), table.schema(),
          [&table](Reader& reader, const Cursor& at, T& value) { return table.read(reader, at, value); },
          [&table](const T& value) { return table.write(value); }};
}

template <class V>
Type<std::vector<V>> list(Type<V> item, std::size_t least = 0) {
  Json schema = {{"type", "array"}, {"items", item.schema}};
  if (least > 0) schema["minItems"] = least;
  const std::string accepted =
      "a list" +
      std::string(least > 0 ? " with at least " + std::to_string(least) + (least == 1 ? " entry" : " entries") : "") +
      ", each " + item.accepted;
  return {accepted, schema,
          [item, least, accepted](Reader& reader, const Cursor& at, std::vector<V>& values) {
            if (at.node->kind != NodeKind::sequence) return refuse(reader, at, "a list", accepted);
            bool good = true;
            values.clear();
            for (std::size_t i = 0; i < at.node->items.size(); ++i) {
              const Cursor below = at.item(i);
              reader.record(below);
              values.emplace_back();
              good = item.read(reader, below, values.back()) && good;
            }
            if (values.size() < least) {
              reader.error(at, "is too short", accepted);
              good = false;
            }
            return good;
          },
          [item](const std::vector<V>& values) {
            Json out = Json::array();
            for (const V& value : values) out.push_back(item.write(value));
            return out;
          }};
}

}  // namespace twinkeeper::config
