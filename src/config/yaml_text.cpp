#include "config/yaml_text.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "config/scalar.hpp"

namespace twinkeeper::config {
namespace {

using Json = nlohmann::ordered_json;

// Words that YAML 1.1 reads as booleans; in quotes they are the same text for every parser.
constexpr std::array<std::string_view, 6> kOldBooleans{"yes", "no", "on", "off", "y", "n"};

bool plain_is_safe(std::string_view text) {
  if (std::find(kOldBooleans.begin(), kOldBooleans.end(), text) != kOldBooleans.end()) return false;
  static constexpr std::string_view kSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:+%-";
  if (text.empty() || text.find_first_not_of(kSafe) != std::string_view::npos) return false;
  const bool safe_start = text.front() != '-' && text.front() != ':' && text.front() != '%' && text.front() != '+';
  return safe_start && text.back() != ':' && resolve(text) == ScalarType::text;
}

// ${ is written as $${, so that the text is not taken for a variable when it is read again.
std::string without_variables(const std::string& text) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", from)) {
    out.append(text, from, at - from).append("$${");
    from = at + 2;
  }
  return out.append(text, from);
}

std::string scalar(const Json& value) {
  if (value.is_binary()) return {value.get_binary().begin(), value.get_binary().end()};
  if (value.is_string()) {
    const std::string text = without_variables(value.get_ref<const std::string&>());
    if (plain_is_safe(text)) return text;
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);  // a JSON string is a quoted YAML scalar
  }
  if (value.is_number_float()) {
    std::string text = format_number(value.get<double>());
    const std::size_t exponent = text.find('e');  // 1e-05 is a text to YAML 1.1, 1.0e-05 a number to all
    if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
    return text;
  }
  return value.dump();
}

bool is_flow(const Json& value) {
  if (!value.is_structured() || value.empty()) return true;
  if (!value.is_array()) return false;
  for (const Json& item : value) {
    if (item.is_structured()) return false;
  }
  return true;
}

std::string flow(const Json& value) {
  if (value.is_object()) return "{}";
  if (!value.is_array()) return scalar(value);
  std::string out = "[";
  for (const Json& item : value) {
    if (out.size() > 1) out += ", ";
    out += scalar(item);
  }
  return out + "]";
}

void block(const Json& value, std::size_t indent, bool continues_line, std::string& out) {
  const std::string margin(indent, ' ');
  bool first = continues_line;
  const auto start = [&] {
    if (!first) out += margin;
    first = false;
  };
  if (value.is_object()) {
    for (const auto& [name, item] : value.items()) {
      start();
      out += (plain_is_safe(name) ? name : Json(name).dump()) + ":";
      if (is_flow(item)) {
        out += " " + flow(item) + "\n";
      } else {
        out += "\n";
        block(item, indent + 2, false, out);
      }
    }
  } else {
    for (const Json& item : value) {
      start();
      out += "- ";
      if (is_flow(item)) {
        out += flow(item) + "\n";
      } else {
        block(item, indent + 2, true, out);
      }
    }
  }
}

}  // namespace

std::string to_yaml(const Json& tree) {
  if (is_flow(tree)) return flow(tree) + "\n";
  std::string out;
  block(tree, 0, false, out);
  return out;
}

Json verbatim(const std::string& text) { return Json::binary({text.begin(), text.end()}); }

}  // namespace twinkeeper::config
