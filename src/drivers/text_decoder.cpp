#include "drivers/text_decoder.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace twinkeeper::drivers {
namespace {

using signals::RawKind;
using signals::RawValue;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// The text without its sign and the blanks behind that; `negative` says which it was.
std::string_view without_sign(std::string_view text, bool& negative) noexcept {
  negative = false;
  if (text.empty() || (text.front() != '+' && text.front() != '-')) return text;
  negative = text.front() == '-';
  text.remove_prefix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

// from_chars would also take a sign of its own, "inf" and "nan".
bool begins_like_a_number(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '.') text.remove_prefix(1);
  return !text.empty() && is_digit(text.front());
}

template <class Number>
std::optional<Number> whole(std::string_view text) noexcept {
  if (!begins_like_a_number(text)) return std::nullopt;
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class Integer>
std::optional<RawValue> integer_from(std::string_view text) noexcept {
  bool negative = false;
  const auto magnitude = whole<std::uint64_t>(without_sign(text, negative));
  if (!magnitude) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<Integer>::max());
  RawValue raw;
  if constexpr (std::numeric_limits<Integer>::is_signed) {
    if (*magnitude > kMost + (negative ? 1 : 0)) return std::nullopt;
    raw.kind = RawKind::signed_integer;
    raw.integer = static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude);
  } else {
    if (*magnitude > kMost || (negative && *magnitude != 0)) return std::nullopt;
    raw.kind = RawKind::unsigned_integer;
    raw.natural = *magnitude;
  }
  return raw;
}

template <class Float>
std::optional<RawValue> float_from(std::string_view text, RawKind kind) noexcept {
  bool negative = false;
  const auto magnitude = whole<Float>(without_sign(text, negative));
  if (!magnitude || !std::isfinite(*magnitude)) return std::nullopt;
  RawValue raw;
  raw.kind = kind;
  raw.real = static_cast<double>(negative ? -*magnitude : *magnitude);
  return raw;
}

// Rounded to what two bytes hold.
std::optional<RawValue> half_from(std::string_view text) noexcept {
  const auto raw = float_from<double>(text, RawKind::float16);
  if (!raw) return std::nullopt;
  RegisterSettings plain;
  plain.type = ValueType::FLOAT16;
  const RawValue rounded = raw_from_value(plain, raw->real);
  return std::isfinite(rounded.real) ? std::optional(rounded) : std::nullopt;
}

std::optional<RawValue> raw_from(ValueType type, std::string_view text) {
  switch (type) {
    case ValueType::INT16: return integer_from<std::int16_t>(text);
    case ValueType::UINT16: return integer_from<std::uint16_t>(text);
    case ValueType::INT32: return integer_from<std::int32_t>(text);
    case ValueType::UINT32: return integer_from<std::uint32_t>(text);
    case ValueType::INT64: return integer_from<std::int64_t>(text);
    case ValueType::UINT64: return integer_from<std::uint64_t>(text);
    case ValueType::FLOAT16: return half_from(text);
    case ValueType::FLOAT32: return float_from<float>(text, RawKind::float32);
    case ValueType::FLOAT64: return float_from<double>(text, RawKind::float64);
    case ValueType::STRING: {
      RawValue raw;
      raw.kind = RawKind::text;
      raw.text = text;
      return raw;
    }
    case ValueType::BIT:
    case ValueType::BCD16:
    case ValueType::BCD32: break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Decoded> decode_text(const RegisterSettings& settings, std::string_view text) {
  auto raw = raw_from(settings.type, text);
  if (!raw) return std::nullopt;
  Decoded decoded;
  decoded.value = number_of(*raw) * settings.scale + settings.offset;
  decoded.raw = std::move(*raw);
  return decoded;
}

}  // namespace twinkeeper::drivers
