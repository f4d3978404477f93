#include "telemetry/number.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace twinkeeper::telemetry {
namespace {

constexpr std::int64_t kExactInteger = std::int64_t{1} << 53;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

// Room for any double with 17 digits or any 64-bit integer.
using Buffer = std::array<char, 40>;

template <class... Arguments>
void append_chars(std::string& out, Arguments... arguments) {
  Buffer buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), arguments...);
  out.append(buffer.data(), result.ptr);
}

// Whether a half-precision reader (round to nearest) makes `value`, a half itself, of `read`.
bool reads_back_as_half(double read, double value) {
  const double magnitude = std::fabs(value);
  const int exponent = std::max(std::ilogb(magnitude), -14);
  const double ulp = std::ldexp(1.0, exponent - 10);
  // Below a power of two the halves lie closer together.
  const bool at_power_of_two = exponent > -14 && magnitude == std::ldexp(1.0, exponent);
  const double below = at_power_of_two ? ulp / 4 : ulp / 2;
  const double difference = std::fabs(read) - magnitude;
  return difference < ulp / 2 && -difference < below;
}

void append_half(std::string& out, double value) {
  double read = value;
  for (int digits = 1; value != 0.0 && digits <= 5; ++digits) {  // five digits always read back
    Buffer buffer;
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general, digits);
    std::from_chars(buffer.data(), end.ptr, read);
    if (reads_back_as_half(read, value)) break;
  }
  // The shortest text of the double `read` has just the digits found.
  append_chars(out, read);
}

bool append_or_null(std::string& out, double value, int digits) {
  append_number(out, value, digits);
  return std::isfinite(value);
}

// Length of the UTF-8 character at the start of `text`, 0 if there is none (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  if (first < 0xE0) return continues(1, 0x80, 0xBF) ? 2 : 0;
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (!continues(1, low, high) || !continues(2, 0x80, 0xBF)) return 0;
  if (first < 0xF0) return 3;
  return continues(3, 0x80, 0xBF) ? 4 : 0;
}

void append_escape(std::string& out, unsigned char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (byte) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default:
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 0x0F];
  }
}

// One character as it stands in a JSON string; returns how many bytes of `text` it took.
std::size_t append_character(std::string& out, std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == '"' || first == '\\') {
    append_escape(out, first);
    return 1;
  }
  const std::size_t length = utf8_length(text);
  if (length == 0) {
    out += kReplacement;
    return 1;
  }
  out.append(text.data(), length);
  return length;
}

}  // namespace

void append_number(std::string& out, double value, int digits) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  append_chars(out, value, std::chars_format::general, std::clamp(digits, 1, 17));
}

void append_integer(std::string& out, std::int64_t value) { append_chars(out, value); }

void append_natural(std::string& out, std::uint64_t value) { append_chars(out, value); }

bool append_register_value(std::string& out, const signals::RawValue& raw, double value, bool scaled) {
  using Kind = signals::RawKind;
  switch (raw.kind) {
    case Kind::none: break;
    case Kind::boolean:
      if (scaled) return append_or_null(out, value, 15);
      out += raw.integer != 0 ? '1' : '0';
      return true;
    case Kind::signed_integer: {
      if (scaled) return append_or_null(out, value, 15);
      const bool quoted = raw.integer > kExactInteger || raw.integer < -kExactInteger;
      if (quoted) out += '"';
      append_integer(out, raw.integer);
      if (quoted) out += '"';
      return true;
    }
    case Kind::unsigned_integer: {
      if (scaled) return append_or_null(out, value, 15);
      const bool quoted = raw.natural > static_cast<std::uint64_t>(kExactInteger);
      if (quoted) out += '"';
      append_natural(out, raw.natural);
      if (quoted) out += '"';
      return true;
    }
    case Kind::float16:
      if (scaled) return append_or_null(out, value, 5);
      if (!std::isfinite(raw.real)) break;
      append_half(out, raw.real);
      return true;
    case Kind::float32:
      if (scaled) return append_or_null(out, value, 9);
      if (!std::isfinite(raw.real)) break;
      append_chars(out, static_cast<float>(raw.real));
      return true;
    case Kind::float64: {
      const double number = scaled ? value : raw.real;
      if (!std::isfinite(number)) break;
      append_chars(out, number);
      return true;
    }
    case Kind::text: append_string(out, raw.text); return true;
  }
  out += "null";
  return false;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) text.remove_prefix(append_character(out, text));
  out += '"';
}

bool append_clipped_string(std::string& out, std::string_view text, std::size_t max_bytes) {
  const std::size_t start = out.size();
  out += '"';
  std::size_t last_fitting = out.size();  // end of the text that leaves room for the ellipsis and the closing quote
  while (!text.empty()) {
    text.remove_prefix(append_character(out, text));
    const std::size_t used = out.size() - start;
    if (used + 1 > max_bytes) {
      out.resize(last_fitting);
      out += kEllipsis;
      out += '"';
      return true;
    }
    if (used + kEllipsis.size() + 1 <= max_bytes) last_fitting = out.size();
  }
  out += '"';
  return false;
}

}  // namespace twinkeeper::telemetry
