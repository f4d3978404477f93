// Numbers and strings as JSON text, appended to a buffer that the caller reuses.
//
//   kind of number                      text                                    example
//   anything measured or estimated      at most `digits` significant digits     0.1240013
//   FLOAT32, FLOAT64 as sent            shortest that reads back in that type   0.1, not 0.10000000149011612
//   FLOAT16 as sent                     shortest that reads back as the half    0.1, not 0.0999755859375
//   integer, BIT as sent                all digits; beyond ±2^53 in quotes      "9007199254740993"
//   integer × scale + offset            at most 15 digits                       12.34
//   FLOAT16/32/64 × scale + offset      at most 5, 9 digits, shortest double    1.23456789
//
// NaN and ±infinity have no JSON number: they become null. Trailing zeros are never written.
// Thread rule: free functions. Allocation: only what `out` needs to grow.
// Source: ECMA-404 for the text; the digits that survive a round trip: Steele & White (1990), via std::to_chars.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::telemetry {

inline constexpr int kDefaultDigits = 7;

// `digits` is taken as 1 … 17.
void append_number(std::string& out, double value, int digits);
void append_integer(std::string& out, std::int64_t value);
void append_natural(std::string& out, std::uint64_t value);

// The value of a register; `scaled`: a scale or an offset was applied, so `value` counts and not `raw`.
// False: null was written, because there is no value or none that JSON can hold.
bool append_register_value(std::string& out, const signals::RawValue& raw, double value, bool scaled);

// With the quotes. Control bytes, quotes and backslashes are escaped; what is not UTF-8 becomes U+FFFD.
void append_string(std::string& out, std::string_view text);
// The same, cut between characters so that the result including its quotes has at most `max_bytes` (at least 5);
// what was cut is shown by an ellipsis. True if something was cut.
bool append_clipped_string(std::string& out, std::string_view text, std::size_t max_bytes);

}  // namespace twinkeeper::telemetry
