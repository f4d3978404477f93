#include "drivers/decoder.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace twinkeeper::drivers {
namespace {

using signals::RawKind;
using signals::RawValue;

bool swaps_bytes(ByteOrder order) noexcept { return order == ByteOrder::DCBA || order == ByteOrder::BADC; }
bool reverses_words(ByteOrder order) noexcept { return order == ByteOrder::DCBA || order == ByteOrder::CDAB; }

std::uint16_t swapped(std::uint16_t word) noexcept { return static_cast<std::uint16_t>((word >> 8) | (word << 8)); }

std::uint16_t ordered(std::uint16_t word, ByteOrder order) noexcept {
  return swaps_bytes(order) ? swapped(word) : word;
}

// The value's bits, most significant word first.
std::uint64_t gather(std::span<const std::uint16_t> words, ByteOrder order) noexcept {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    bits = (bits << 16) | ordered(words[reverses_words(order) ? words.size() - 1 - i : i], order);
  }
  return bits;
}

void scatter(std::uint64_t bits, std::span<std::uint16_t> words, ByteOrder order) noexcept {
  for (std::size_t i = words.size(); i-- > 0; bits >>= 16) {
    words[reverses_words(order) ? words.size() - 1 - i : i] = ordered(static_cast<std::uint16_t>(bits), order);
  }
}

double half_to_double(std::uint16_t half) noexcept {
  const int exponent = (half >> 10) & 0x1F;
  const double fraction = half & 0x3FF;
  double magnitude = 0.0;
  if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else if (exponent == 0x1F) {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else {
    magnitude = std::ldexp(1024.0 + fraction, exponent - 25);
  }
  return std::copysign(magnitude, (half & 0x8000) != 0 ? -1.0 : 1.0);
}

std::uint16_t double_to_half(double value) noexcept {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00);
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7C00);  // rounds beyond 65504
  // In units of the smallest step at this size; nearbyint rounds ties to even, and a carry moves into the exponent.
  const int exponent = magnitude < std::ldexp(1.0, -14) ? -14 : std::ilogb(magnitude);
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  const int bits = exponent == -14 && steps < 1024 ? steps : ((exponent + 14) << 10) + steps;
  return static_cast<std::uint16_t>(sign | bits);
}

template <class Integer>
std::int64_t sign_extended(std::uint64_t bits) noexcept {
  return static_cast<Integer>(bits);
}

RawValue signed_raw(std::int64_t value) noexcept {
  RawValue raw;
  raw.kind = RawKind::signed_integer;
  raw.integer = value;
  return raw;
}

RawValue unsigned_raw(std::uint64_t value) noexcept {
  RawValue raw;
  raw.kind = RawKind::unsigned_integer;
  raw.natural = value;
  return raw;
}

RawValue real_raw(RawKind kind, double value) noexcept {
  RawValue raw;
  raw.kind = kind;
  raw.real = value;
  return raw;
}

RawValue boolean_raw(bool value) noexcept {
  RawValue raw;
  raw.kind = RawKind::boolean;
  raw.integer = value ? 1 : 0;
  return raw;
}

RawValue text_raw(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  RawValue raw;
  raw.kind = RawKind::text;
  const auto length = static_cast<std::size_t>(std::max(0, settings.length.value_or(0)));
  raw.text.reserve(length);
  for (std::size_t i = 0; i < length; ++i) {
    const std::uint16_t word = ordered(words[i / 2], settings.byte_order);
    const char byte = static_cast<char>(i % 2 == 0 ? word >> 8 : word & 0xFF);
    if (byte == '\0') break;
    raw.text.push_back(byte);
  }
  return raw;
}

RawValue raw_from_words(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  if (settings.type == ValueType::STRING) return text_raw(settings, words);
  const std::uint64_t bits = gather(words, settings.byte_order);
  switch (settings.type) {
    case ValueType::BIT: return boolean_raw((bits >> settings.bit.value_or(0)) & 1);
    case ValueType::INT16: return signed_raw(sign_extended<std::int16_t>(bits));
    case ValueType::INT32: return signed_raw(sign_extended<std::int32_t>(bits));
    case ValueType::INT64: return signed_raw(sign_extended<std::int64_t>(bits));
    case ValueType::UINT16:
    case ValueType::UINT32:
    case ValueType::UINT64: return unsigned_raw(bits);
    case ValueType::FLOAT16: return real_raw(RawKind::float16, half_to_double(static_cast<std::uint16_t>(bits)));
    case ValueType::FLOAT32:
      return real_raw(RawKind::float32, static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
    case ValueType::FLOAT64: return real_raw(RawKind::float64, std::bit_cast<double>(bits));
    case ValueType::STRING: break;
  }
  return {};
}

double number(const RawValue& raw) noexcept {
  switch (raw.kind) {
    case RawKind::boolean:
    case RawKind::signed_integer: return static_cast<double>(raw.integer);
    case RawKind::unsigned_integer: return static_cast<double>(raw.natural);
    case RawKind::float16:
    case RawKind::float32:
    case RawKind::float64: return raw.real;
    case RawKind::none:
    case RawKind::text: break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// Nearest value of Integer; its largest may not be representable in double, so the comparison is with 2^digits.
template <class Integer>
Integer saturated(double value) noexcept {
  if (std::isnan(value)) return 0;
  const double rounded = std::round(value);
  if (rounded >= std::ldexp(1.0, std::numeric_limits<Integer>::digits)) return std::numeric_limits<Integer>::max();
  if (rounded <= static_cast<double>(std::numeric_limits<Integer>::min())) return std::numeric_limits<Integer>::min();
  return static_cast<Integer>(rounded);
}

float nearest_float(double value) noexcept {
  const double limit = static_cast<double>(std::numeric_limits<float>::max());
  return std::isinf(value) ? static_cast<float>(value) : static_cast<float>(std::clamp(value, -limit, limit));
}

void encode_text(const RegisterSettings& settings, const std::string& text, std::span<std::uint16_t> words) noexcept {
  const auto length = static_cast<std::size_t>(std::max(0, settings.length.value_or(0)));
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::array<std::uint8_t, 2> bytes{};
    for (std::size_t j = 0; j < 2; ++j) {
      const std::size_t at = 2 * i + j;
      if (at < length && at < text.size()) bytes[j] = static_cast<std::uint8_t>(text[at]);
    }
    words[i] = ordered(static_cast<std::uint16_t>((bytes[0] << 8) | bytes[1]), settings.byte_order);
  }
}

}  // namespace

std::size_t word_count(const RegisterSettings& settings) noexcept {
  switch (settings.type) {
    case ValueType::BIT:
    case ValueType::INT16:
    case ValueType::UINT16:
    case ValueType::FLOAT16: return 1;
    case ValueType::INT32:
    case ValueType::UINT32:
    case ValueType::FLOAT32: return 2;
    case ValueType::INT64:
    case ValueType::UINT64:
    case ValueType::FLOAT64: return 4;
    case ValueType::STRING: return (static_cast<std::size_t>(std::max(1, settings.length.value_or(1))) + 1) / 2;
  }
  return 1;
}

Decoded decode_words(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  Decoded decoded;
  decoded.raw = raw_from_words(settings, words);
  decoded.value = number(decoded.raw) * settings.scale + settings.offset;
  return decoded;
}

Decoded decode_bit(const RegisterSettings& settings, bool bit) noexcept {
  return {boolean_raw(bit), (bit ? 1.0 : 0.0) * settings.scale + settings.offset};
}

void encode_words(const RegisterSettings& settings, const RawValue& raw, std::span<std::uint16_t> words) noexcept {
  switch (settings.type) {
    case ValueType::BIT: {
      const auto mask = static_cast<std::uint16_t>(1U << settings.bit.value_or(0));
      const std::uint16_t word = ordered(words[0], settings.byte_order);
      words[0] =
          ordered(static_cast<std::uint16_t>(raw.integer != 0 ? word | mask : word & ~mask), settings.byte_order);
      return;
    }
    case ValueType::INT16:
    case ValueType::INT32:
    case ValueType::INT64: return scatter(static_cast<std::uint64_t>(raw.integer), words, settings.byte_order);
    case ValueType::UINT16:
    case ValueType::UINT32:
    case ValueType::UINT64: return scatter(raw.natural, words, settings.byte_order);
    case ValueType::FLOAT16: return scatter(double_to_half(raw.real), words, settings.byte_order);
    case ValueType::FLOAT32:
      return scatter(std::bit_cast<std::uint32_t>(static_cast<float>(raw.real)), words, settings.byte_order);
    case ValueType::FLOAT64: return scatter(std::bit_cast<std::uint64_t>(raw.real), words, settings.byte_order);
    case ValueType::STRING: return encode_text(settings, raw.text, words);
  }
}

RawValue raw_from_value(const RegisterSettings& settings, double value) noexcept {
  const double unscaled = (value - settings.offset) / settings.scale;
  switch (settings.type) {
    case ValueType::BIT: return boolean_raw(saturated<std::int64_t>(unscaled) != 0);
    case ValueType::INT16: return signed_raw(saturated<std::int16_t>(unscaled));
    case ValueType::INT32: return signed_raw(saturated<std::int32_t>(unscaled));
    case ValueType::INT64: return signed_raw(saturated<std::int64_t>(unscaled));
    case ValueType::UINT16: return unsigned_raw(saturated<std::uint16_t>(unscaled));
    case ValueType::UINT32: return unsigned_raw(saturated<std::uint32_t>(unscaled));
    case ValueType::UINT64: return unsigned_raw(saturated<std::uint64_t>(unscaled));
    case ValueType::FLOAT16: return real_raw(RawKind::float16, half_to_double(double_to_half(unscaled)));
    case ValueType::FLOAT32: return real_raw(RawKind::float32, static_cast<double>(nearest_float(unscaled)));
    case ValueType::FLOAT64: return real_raw(RawKind::float64, unscaled);
    case ValueType::STRING: break;
  }
  return {};
}

void encode_value(const RegisterSettings& settings, double value, std::span<std::uint16_t> words) noexcept {
  encode_words(settings, raw_from_value(settings, value), words);
}

}  // namespace twinkeeper::drivers
