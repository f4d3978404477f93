// What an instrument writes → values, strictly: a text is a number only if all of it is one.
//
//   integers  [+|-] digits, within the type's range
//   floats    [+|-] digits with at most one point, and an exponent if there is one; finite in the register's own type
//   STRING    the text as it is
// Blanks may stand between a sign and its digits, as balances write them ("-   1.20"), and nowhere else. No decimal
// comma, no digit grouping, no hexadecimal, no "inf" or "nan".
// value = raw × scale + offset, in double; NaN for text.
// Thread rule: free functions. Allocation: text only.
#pragma once

#include <optional>
#include <string_view>

#include "drivers/decoder.hpp"
#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

// Nothing: the text is no value of the register's type. A type that no text has (BIT, BCD16, BCD32) never has one.
[[nodiscard]] std::optional<Decoded> decode_text(const RegisterSettings& settings, std::string_view text);

}  // namespace twinkeeper::drivers
