// Wall time as text and as a number, the way every message carries it: RFC 3339 in UTC with milliseconds, and the same
// instant in whole milliseconds since 1970. Both round down, so the two never disagree and neither lies in the future.
// Thread rule: free functions. Allocation: append_rfc3339 none beyond what `out` needs to grow.
// Source: RFC 3339 section 5.6; every WallTime (the years 1677 to 2262) has a text of exactly 24 characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::base {

// "2026-03-01T08:15:30.042Z"
[[nodiscard]] std::string format_rfc3339(WallTime time);
void append_rfc3339(std::string& out, WallTime time);

[[nodiscard]] std::int64_t unix_milliseconds(WallTime time);

// "2026-03-01T08:15:30Z", with any number of decimals of the second, or an offset as "+01:00" instead of Z; nothing if
// it is no such text. Decimals beyond the ninth are cut.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

// As above, but a space may stand for the T, and without Z or offset the time is UTC: "2026-03-01 08:15:30.25".
[[nodiscard]] std::optional<WallTime> parse_log_time(std::string_view text);

}  // namespace twinkeeper::base
