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

struct Swaps {
  bool bytes;        // within each word
  std::size_t word;  // the value's i-th word stands in place i XOR this
};

Swaps swaps(ByteOrder order, std::size_t words) noexcept {
  constexpr std::size_t kPairs = 1;
  constexpr std::size_t kHalves = 2;
  const std::size_t all = words - 1;  // 1, 2 and 4 words: reversed
  switch (order) {
    case ByteOrder::ABCD: break;
    case ByteOrder::DCBA: return {true, all};
    case ByteOrder::BADC: return {true, 0};
    case ByteOrder::CDAB: return {false, all};
    case ByteOrder::CDABGHEF: return {false, kPairs & all};
    case ByteOrder::DCBAHGFE: return {true, kPairs & all};
    case ByteOrder::EFGHABCD: return {false, kHalves & all};
    case ByteOrder::FEHGBADC: return {true, kHalves & all};
  }
  return {false, 0};
}

std::uint16_t swapped(std::uint16_t word) noexcept { return static_cast<std::uint16_t>((word >> 8) | (word << 8)); }

std::uint16_t ordered(std::uint16_t word, bool swap) noexcept { return swap ? swapped(word) : word; }

// The value's bits, most significant word first.
std::uint64_t gather(std::span<const std::uint16_t> words, ByteOrder order) noexcept {
  const Swaps swap = swaps(order, words.size());
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < words.size(); ++i) bits = (bits << 16) | ordered(words[i ^ swap.word], swap.bytes);
  return bits;
}

void scatter(std::uint64_t bits, std::span<std::uint16_t> words, ByteOrder order) noexcept {
  const Swaps swap = swaps(order, words.size());
  for (std::size_t i = words.size(); i-- > 0; bits >>= 16) {
    words[i ^ swap.word] = ordered(static_cast<std::uint16_t>(bits), swap.bytes);
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

struct Character {
  std::size_t word;
  bool upper;  // byte
};

// Where the i-th character of a text stands.
Character character(const RegisterSettings& settings, std::size_t i) noexcept {
  if (settings.string_location == StringLocation::both) return {i / 2, i % 2 == 0};
  return {i, settings.string_location == StringLocation::upper};
}

// Where the bits of an integer lie in its words, and how many they are.
struct BitField {
  int lowest;
  int count;
};

BitField bit_field(const RegisterSettings& settings) noexcept {
  if (!settings.bits) return {0, 16 * static_cast<int>(word_count(settings))};
  return {settings.bit.value_or(0), *settings.bits};
}

std::uint64_t mask_of(BitField field) noexcept {
  return field.count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << field.count) - 1;
}

std::int64_t sign_extended(std::uint64_t bits, BitField field) noexcept {
  const int unused = 64 - field.count;
  return static_cast<std::int64_t>(bits << unused) >> unused;
}

RawValue bcd_raw(std::uint64_t bits, std::size_t words) noexcept {
  std::uint64_t value = 0;
  for (std::size_t digits = 4 * words; digits-- > 0;) {
    const std::uint64_t digit = (bits >> (4 * digits)) & 0xF;
    if (digit > 9) return real_raw(RawKind::float64, std::numeric_limits<double>::quiet_NaN());
    value = 10 * value + digit;
  }
  return unsigned_raw(value);
}

std::uint64_t bcd_bits(std::uint64_t value) noexcept {
  std::uint64_t bits = 0;
  for (int at = 0; value != 0 && at < 64; at += 4, value /= 10) bits |= (value % 10) << at;
  return bits;
}

RawValue text_raw(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  RawValue raw;
  raw.kind = RawKind::text;
  const auto length = static_cast<std::size_t>(std::max(0, settings.length.value_or(0)));
  const bool swap = swaps(settings.byte_order, 1).bytes;
  raw.text.reserve(length);
  for (std::size_t i = 0; i < length; ++i) {
    const Character at = character(settings, i);
    const std::uint16_t word = ordered(words[at.word], swap);
    const char byte = static_cast<char>(at.upper ? word >> 8 : word & 0xFF);
    if (byte == '\0') break;
    raw.text.push_back(byte);
  }
  return raw;
}

RawValue raw_from_words(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  if (settings.type == ValueType::STRING) return text_raw(settings, words);
  const std::uint64_t bits = gather(words, settings.byte_order);
  const BitField field = bit_field(settings);
  switch (settings.type) {
    case ValueType::BIT: return boolean_raw((bits >> settings.bit.value_or(0)) & 1);
    case ValueType::INT16:
    case ValueType::INT32:
    case ValueType::INT64: return signed_raw(sign_extended(bits >> field.lowest, field));
    case ValueType::UINT16:
    case ValueType::UINT32:
    case ValueType::UINT64: return unsigned_raw((bits >> field.lowest) & mask_of(field));
    case ValueType::BCD16:
    case ValueType::BCD32: return bcd_raw(bits, words.size());
    case ValueType::FLOAT16: return real_raw(RawKind::float16, half_to_double(static_cast<std::uint16_t>(bits)));
    case ValueType::FLOAT32:
      return real_raw(RawKind::float32, static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
    case ValueType::FLOAT64: return real_raw(RawKind::float64, std::bit_cast<double>(bits));
    case ValueType::STRING: break;
  }
  return {};
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

void encode_integer(const RegisterSettings& settings, std::uint64_t bits, std::span<std::uint16_t> words) noexcept {
  const BitField field = bit_field(settings);
  const std::uint64_t mask = mask_of(field) << field.lowest;
  const std::uint64_t others = settings.bits ? gather(words, settings.byte_order) & ~mask : 0;
  scatter(others | ((bits << field.lowest) & mask), words, settings.byte_order);
}

void encode_text(const RegisterSettings& settings, const std::string& text, std::span<std::uint16_t> words) noexcept {
  const auto length = static_cast<std::size_t>(std::max(0, settings.length.value_or(0)));
  std::fill(words.begin(), words.end(), std::uint16_t{0});
  for (std::size_t i = 0; i < std::min(length, text.size()); ++i) {
    const Character at = character(settings, i);
    const auto byte = static_cast<std::uint8_t>(text[i]);
    words[at.word] = static_cast<std::uint16_t>(words[at.word] | (at.upper ? byte << 8 : byte));
  }
  const bool swap = swaps(settings.byte_order, 1).bytes;
  for (std::uint16_t& word : words) word = ordered(word, swap);
}

}  // namespace

double number_of(const RawValue& raw) noexcept {
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

Decoded decode_words(const RegisterSettings& settings, std::span<const std::uint16_t> words) {
  Decoded decoded;
  decoded.raw = raw_from_words(settings, words);
  decoded.value = number_of(decoded.raw) * settings.scale + settings.offset;
  return decoded;
}

Decoded decode_bit(const RegisterSettings& settings, bool bit) noexcept {
  return {boolean_raw(bit), (bit ? 1.0 : 0.0) * settings.scale + settings.offset};
}

void encode_words(const RegisterSettings& settings, const RawValue& raw, std::span<std::uint16_t> words) noexcept {
  switch (settings.type) {
    case ValueType::BIT: {
      const auto mask = static_cast<std::uint16_t>(1U << settings.bit.value_or(0));
      const bool swap = swaps(settings.byte_order, 1).bytes;
      const std::uint16_t word = ordered(words[0], swap);
      words[0] = ordered(static_cast<std::uint16_t>(raw.integer != 0 ? word | mask : word & ~mask), swap);
      return;
    }
    case ValueType::INT16:
    case ValueType::INT32:
    case ValueType::INT64: return encode_integer(settings, static_cast<std::uint64_t>(raw.integer), words);
    case ValueType::UINT16:
    case ValueType::UINT32:
    case ValueType::UINT64: return encode_integer(settings, raw.natural, words);
    case ValueType::BCD16:
    case ValueType::BCD32: return scatter(bcd_bits(raw.natural), words, settings.byte_order);
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
    case ValueType::INT16:
    case ValueType::INT32:
    case ValueType::INT64: {
      const int bits = bit_field(settings).count;
      const std::int64_t most = std::numeric_limits<std::int64_t>::max() >> (64 - bits);
      return signed_raw(std::clamp(saturated<std::int64_t>(unscaled), -most - 1, most));
    }
    case ValueType::UINT16:
    case ValueType::UINT32:
    case ValueType::UINT64:
      return unsigned_raw(std::min(saturated<std::uint64_t>(unscaled), mask_of(bit_field(settings))));
    case ValueType::BCD16: return unsigned_raw(std::min<std::uint64_t>(saturated<std::uint64_t>(unscaled), 9999));
    case ValueType::BCD32: return unsigned_raw(std::min<std::uint64_t>(saturated<std::uint64_t>(unscaled), 99'999'999));
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
