// What the words of a device could mean: every type in every byte order, judged and ranked. Pure functions.
//
// Decodings  Every ValueType that fits, at each address: 16 bits in ABCD and BADC (one word knows no word order), 32
// and
//            64 bits in all four orders, text in both orders of the bytes. BIT is all 16 bits of a word at once.
// Plausible  numbers: zero, or finite, no denormal and of a size that a machine's quantity has (1e-9 to 1e12; FLOAT16
//            any normal number), or within 5 % of what is expected; text: printable ASCII up to its first NUL, at least
//            two characters.
// Ranking    with an expected value: plausible or not, by |value − expected| / |expected| (absolute for 0), ties as
//            without. Integers also × 10^−3 … 10^3 where that comes within 5 %, marked by `scale`, after an equally
//            near one without. Without an expected value: the plausible first, then by address, type, order.
// Thread rule: free functions. Allocates.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/decoder.hpp"
#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

struct Decoding {
  std::uint16_t address = 0;
  ValueType type = ValueType::UINT16;
  ByteOrder byte_order = ByteOrder::ABCD;
  int length = 0;  // STRING: bytes
  StringLocation location = StringLocation::both;
  double scale = 1.0;  // common scale that meets the expected value; 1: as it stands
  signals::RawValue raw;
  double value = std::numeric_limits<double>::quiet_NaN();  // raw × scale; text and bits have none
  bool plausible = true;
  std::optional<double> distance;  // from the expected value, relative (absolute if that is 0)
};

// Of words read from `address` on, ranked.
[[nodiscard]] std::vector<Decoding> decodings(std::uint16_t address, std::span<const std::uint16_t> words,
                                              std::optional<double> expected);

}  // namespace twinkeeper::drivers
