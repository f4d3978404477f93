#include "aws/document.hpp"

#include <algorithm>

namespace twinkeeper::aws {
namespace {

constexpr int kMostLevels = 32;

}  // namespace

std::optional<Json> parse_object(std::string_view text) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMostLevels;
    return !too_deep;
  };
  Json parsed = Json::parse(text.begin(), text.end(), watch, false);
  if (too_deep || !parsed.is_object()) return std::nullopt;
  return parsed;
}

std::optional<std::uint64_t> natural(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::string text(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Json object(const Json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_object() ? *found : Json::object();
}

Json difference(const Json& from, const Json& to) {
  Json out = Json::object();
  for (const auto& [key, value] : from.items()) {
    if (!to.contains(key)) out[key] = nullptr;
  }
  for (const auto& [key, value] : to.items()) {
    const auto old = from.find(key);
    if (old != from.end() && old->is_object() && value.is_object()) {
      Json inner = difference(*old, value);
      if (!inner.empty()) out[key] = std::move(inner);
    } else if (old == from.end() || *old != value) {
      out[key] = value;
    }
  }
  return out;
}

Json tidied(const Json& document) {
  if (document.is_array()) {
    Json out = Json::array();
    for (const Json& item : document) {
      if (!item.is_null()) out.push_back(tidied(item));
    }
    return out;
  }
  if (!document.is_object()) return document;
  Json out = Json::object();
  for (const auto& [key, value] : document.items()) {
    if (value.is_null()) continue;
    Json inner = tidied(value);
    if (!inner.is_object() || !inner.empty()) out[key] = std::move(inner);
  }
  return out;
}

base::Duration Pause::next() {
  base::Duration whole = least_;
  for (int i = 0; i < failures_ && whole < most_; ++i) whole *= 2;
  ++failures_;
  whole = std::min(whole, most_);
  const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
  return whole / 2 + base::Duration{static_cast<std::int64_t>(static_cast<double>(whole.count()) / 2 * share)};
}

}  // namespace twinkeeper::aws
