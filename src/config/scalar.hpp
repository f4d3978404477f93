// What a scalar of a configuration is under the YAML 1.2 core schema, and how it is spoken of in an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/document.hpp"

namespace twinkeeper::config {

[[nodiscard]] inline bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

enum class ScalarType { text, integer, real, not_finite, boolean, null };

// The core schema's type of a plain scalar; integers with a leading zero and octal ones count as integers here, so that
// whoever reads them can refuse them by name.
[[nodiscard]] ScalarType resolve(std::string_view plain);
// The same for a node: quoted scalars are text.
[[nodiscard]] ScalarType resolve(const Node& node);

// "a mapping", "a list", "nothing", "the number 12", "the quoted text \"12\"" …
[[nodiscard]] std::string describe(const Node& node);
// Cut after 80 bytes at most, between two characters.
[[nodiscard]] std::string shorten(std::string_view text);
// Control characters and line breaks of any kind escaped as \xHH or \uHHHH: one line, harmless to a terminal.
[[nodiscard]] std::string in_one_line(std::string_view text);
// `text` in double quotes, shortened and in one line.
[[nodiscard]] std::string quote(std::string_view text);
[[nodiscard]] bool has_control_characters(std::string_view text);

// 010, -007, 0o17, 0777.5
[[nodiscard]] bool has_leading_zero(std::string_view plain);
// Decimal or 0x; nothing if it is none or does not fit.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view plain);
[[nodiscard]] std::optional<double> parse_number(std::string_view plain);
// The shortest text that reads back to the same double.
[[nodiscard]] std::string format_number(double value);

}  // namespace twinkeeper::config
