#include "config/scalar.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace twinkeeper::config {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  return text;
}

std::size_t digits(std::string_view text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && digit(text[end])) ++end;
  return end - from;
}

bool is_hexadecimal(std::string_view text) {
  if (text.size() < 3 || text.substr(0, 2) != "0x") return false;
  return text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
}

bool is_octal(std::string_view text) {
  if (text.size() < 3 || text.substr(0, 2) != "0o") return false;
  return text.find_first_not_of("01234567", 2) == std::string_view::npos;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_decimal(std::string_view text) {
  text = without_sign(text);
  const std::size_t whole = digits(text, 0);
  std::size_t at = whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t fraction = digits(text, at + 1);
    if (whole == 0 && fraction == 0) return false;
    at += 1 + fraction;
  } else if (whole == 0) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = digits(text, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == text.size();
}

bool is_not_finite(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  text = without_sign(text);
  return text == ".inf" || text == ".Inf" || text == ".INF";
}

template <class I>
std::optional<I> whole(std::string_view text, int base) {
  I value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

ScalarType resolve(std::string_view plain) {
  if (plain.empty() || plain == "~" || plain == "null" || plain == "Null" || plain == "NULL") return ScalarType::null;
  if (plain == "true" || plain == "True" || plain == "TRUE" || plain == "false" || plain == "False" ||
      plain == "FALSE") {
    return ScalarType::boolean;
  }
  const std::string_view unsigned_part = without_sign(plain);
  if (!unsigned_part.empty() && digits(unsigned_part, 0) == unsigned_part.size()) return ScalarType::integer;
  if (is_hexadecimal(plain) || is_octal(plain)) return ScalarType::integer;
  if (is_decimal(plain)) return ScalarType::real;
  if (is_not_finite(plain)) return ScalarType::not_finite;
  return ScalarType::text;
}

ScalarType resolve(const Node& node) { return node.quoted ? ScalarType::text : resolve(std::string_view(node.text)); }

std::string shorten(std::string_view text) {
  static constexpr std::size_t kMost = 80;
  if (text.size() <= kMost) return std::string(text);
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "…";
}

std::string in_one_line(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const auto follows = [&](std::size_t offset) {
      return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
    };
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else if (byte == 0xc2 && follows(1) >= 0x80 && follows(1) < 0xa0) {  // U+0080…U+009F
      out += "\\u00";
      out += kHex[follows(1) >> 4U];
      out += kHex[follows(1) & 15U];
      at += 1;
    } else if (byte == 0xe2 && follows(1) == 0x80 && (follows(2) == 0xa8 || follows(2) == 0xa9)) {
      out += follows(2) == 0xa8 ? "\\u2028" : "\\u2029";
      at += 2;
    } else {
      out += text[at];
    }
  }
  return out;
}

std::string quote(std::string_view text) { return '"' + in_one_line(shorten(text)) + '"'; }

std::string describe(const Node& node) {
  switch (node.kind) {
    case NodeKind::null: return "nothing";
    case NodeKind::sequence: return "a list";
    case NodeKind::mapping: return "a mapping";
    case NodeKind::alias: return "an alias";
    case NodeKind::refused: return "a refused value";
    case NodeKind::scalar: break;
  }
  if (node.quoted && resolve(std::string_view(node.text)) != ScalarType::text && !node.text.empty()) {
    return "the quoted text " + quote(node.text);
  }
  switch (resolve(node)) {
    case ScalarType::null: return "nothing";
    case ScalarType::boolean: return "the boolean " + node.text;
    case ScalarType::integer:
    case ScalarType::real:
    case ScalarType::not_finite: return "the number " + shorten(node.text);
    case ScalarType::text: break;
  }
  return "the text " + quote(node.text);
}

bool has_control_characters(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return false;
}

bool has_leading_zero(std::string_view plain) {
  const std::string_view text = without_sign(plain);
  return text.size() > 1 && text[0] == '0' && (digit(text[1]) || text[1] == 'o');
}

std::optional<std::int64_t> parse_integer(std::string_view plain) {
  const bool hexadecimal = is_hexadecimal(plain);
  std::string_view text = plain;
  if (hexadecimal) {
    text.remove_prefix(2);
  } else if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
  }
  return whole<std::int64_t>(text, hexadecimal ? 16 : 10);
}

std::optional<double> parse_number(std::string_view plain) {
  if (is_hexadecimal(plain)) {
    const auto raw = whole<std::uint64_t>(plain.substr(2), 16);  // the raw value of a UINT64 may be meant
    return raw ? std::optional<double>(static_cast<double>(*raw)) : std::nullopt;
  }
  if (!is_decimal(plain)) return std::nullopt;
  if (plain.front() == '+') plain.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (error != std::errc{} || end != plain.data() + plain.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string format_number(double value) {
  std::array<char, 40> buffer{};
  char* const last = buffer.data() + buffer.size();
  const double magnitude = std::abs(value);
  const bool readable = magnitude == 0.0 || (magnitude >= 1e-4 && magnitude < 1e15);
  const auto [end, error] = readable ? std::to_chars(buffer.data(), last, value, std::chars_format::fixed)
                                     : std::to_chars(buffer.data(), last, value);
  return {buffer.data(), error == std::errc{} ? end : buffer.data()};
}

}  // namespace twinkeeper::config
