// Registers to values and back, for every ValueType in every ByteOrder. Pure functions.
//
// A value of 2^k bytes occupies 2^k / 2 words; w is the words in the order of their addresses, each word's first wire
// byte being its high byte. With A the most significant byte of the value, two bytes to a word:
//   ABCD  as it stands (big-endian)             DCBA  all bytes reversed (little-endian)
//   BADC  the two bytes of each word swapped    CDAB  the words reversed
// Eight bytes are made of two halves of two words: CDABGHEF and DCBAHGFE keep the halves in order and do within each
// what CDAB and DCBA do; EFGHABCD and FEHGBADC exchange the halves and do within each what ABCD and BADC do.
// One word (INT16, UINT16, FLOAT16, BCD16, BIT in a word) and text know no word order: of their orders only the swap of
// bytes counts (as Telegraf does). Text ends at its first NUL; with one character to a register the other byte is
// ignored. An integer with `bits` is that many bits from `bit` on; if its type is signed, the highest of them is the
// sign. BCD with a half byte above 9 is not a number (NaN, raw too).
// value = raw × scale + offset, in double; NaN for text.
//
// Edge rules: integers beyond 2^53 lose digits in `value`, never in `raw`. encode_value rounds to the nearest raw
// integer (halves away from zero) and saturates at the type's ends; NaN becomes 0 in an integer type.
// Thread rule: free functions. Allocation: text only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "drivers/settings.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

struct Decoded {
  signals::RawValue raw;
  double value = 0.0;
};

// From a holding or input register: words.size() == word_count(settings).
[[nodiscard]] Decoded decode_words(const RegisterSettings& settings, std::span<const std::uint16_t> words);
// The raw value as a double; NaN for text and none.
[[nodiscard]] double number_of(const signals::RawValue& raw) noexcept;
// From a coil or discrete input.
[[nodiscard]] Decoded decode_bit(const RegisterSettings& settings, bool bit) noexcept;

// The inverse of decode_words for a raw value of the register's own kind: writes word_count(settings) words. A BIT
// and an integer with `bits` change only their own bits; text is cut or filled with NUL to `length`.
void encode_words(const RegisterSettings& settings, const signals::RawValue& raw,
                  std::span<std::uint16_t> words) noexcept;

// raw = (value − offset) / scale in the register's own type, without anything for STRING.
[[nodiscard]] signals::RawValue raw_from_value(const RegisterSettings& settings, double value) noexcept;
// encode_words(settings, raw_from_value(settings, value), words).
void encode_value(const RegisterSettings& settings, double value, std::span<std::uint16_t> words) noexcept;

}  // namespace twinkeeper::drivers
