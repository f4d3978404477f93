// Small parsers for what people write: durations, sizes, units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::base {

// "100ms", "1.5s", "15min", "2h", "7d". A number without unit, "1m" and anything else is refused; the message of the
// error says what is accepted (for "1m" it names both min and ms). Zero is allowed, negative is not. Nothing is rounded:
// what is no whole number of nanoseconds is refused, as is a leading zero ("01s").
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);
// The shortest spelling that parse_duration reads back to the same duration: 90s stays "90s", 60s becomes "1min".
[[nodiscard]] std::string format_duration(Duration duration);

// "512B", "64KiB", "256MiB", "1.5GiB". A number without unit is refused, as are KB, MB and GB, a leading zero and what is
// no whole number of bytes.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string format_size(std::uint64_t bytes);

// Canonical spelling of a unit: "°C", "C" and "celsius" are "degC", "percent" is "%", "m^3/h" is "m3/h"; unknown units
// come back unchanged. Two units are the same if their canonical spellings are equal.
[[nodiscard]] std::string canonical_unit(std::string_view unit);
// Either side may be absent (empty): then they agree.
[[nodiscard]] bool units_agree(std::string_view left, std::string_view right);

}  // namespace twinkeeper::base
