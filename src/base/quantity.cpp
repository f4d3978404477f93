#include "twinkeeper/base/quantity.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace twinkeeper::base {
namespace {

struct Suffix {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMillisecond;
constexpr std::array<Suffix, 5> kDurations{{{"d", 86'400 * kSecond},
                                            {"h", 3'600 * kSecond},
                                            {"min", 60 * kSecond},
                                            {"s", kSecond},
                                            {"ms", kMillisecond}}};
constexpr std::array<Suffix, 4> kSizes{{{"GiB", 1ll << 30}, {"MiB", 1ll << 20}, {"KiB", 1ll << 10}, {"B", 1}}};
constexpr const char* kDurationForm = "accepted: a number and one of ms s min h d, such as 100ms or 15min";
constexpr const char* kSizeForm = "accepted: a number and one of B KiB MiB GiB, such as 256MiB";

Error refused(std::string_view text, const char* what, const char* form) {
  return {ErrorCode::invalid_argument, "\"" + std::string(text) + "\" " + what + "; " + form};
}

struct Split {
  double number;
  std::string_view unit;
};

// A plain non-negative decimal number followed by letters; no sign, exponent, space or leading point.
bool split(std::string_view text, Split& out) {
  std::size_t end = 0;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) ++end;
  if (end == 0 || text.front() == '.' || text[end - 1] == '.') return false;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, out.number, std::chars_format::fixed);
  if (error != std::errc{} || stop != text.data() + end) return false;
  out.unit = text.substr(end);
  return true;
}

template <std::size_t N>
Result<std::int64_t> parse(std::string_view text, const std::array<Suffix, N>& suffixes, const char* form) {
  Split parts{};
  if (!split(text, parts)) return refused(text, "is not a number with a unit", form);
  if (parts.unit.empty()) return refused(text, "has no unit", form);
  for (const auto& suffix : suffixes) {
    if (suffix.name != parts.unit) continue;
    const double scaled = std::round(parts.number * static_cast<double>(suffix.factor));
    if (scaled >= 9.2e18) return refused(text, "is too large", form);
    return static_cast<std::int64_t>(scaled);
  }
  if (parts.unit == "m") return refused(text, "is ambiguous: write min for minutes or ms for milliseconds", form);
  return refused(text, "has an unknown unit", form);
}

template <std::size_t N>
std::string format(std::int64_t value, const std::array<Suffix, N>& suffixes) {
  for (const auto& suffix : suffixes) {
    if (value != 0 && value % suffix.factor == 0) return std::to_string(value / suffix.factor) + std::string(suffix.name);
  }
  const auto& smallest = suffixes.back();
  if (value == 0) return "0" + std::string(smallest.name);
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                          static_cast<double>(value) / static_cast<double>(smallest.factor),
                                          std::chars_format::fixed);
  return std::string(buffer.data(), error == std::errc{} ? end : buffer.data()) + std::string(smallest.name);
}

// Other spellings of units and the one that stands for them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 26> kSpellings{{{"°C", "degC"},
                                                                                    {"C", "degC"},
                                                                                    {"celsius", "degC"},
                                                                                    {"Celsius", "degC"},
                                                                                    {"deg C", "degC"},
                                                                                    {"°F", "degF"},
                                                                                    {"kelvin", "K"},
                                                                                    {"percent", "%"},
                                                                                    {"pct", "%"},
                                                                                    {"m^3/h", "m3/h"},
                                                                                    {"m³/h", "m3/h"},
                                                                                    {"m^3/s", "m3/s"},
                                                                                    {"m³/s", "m3/s"},
                                                                                    {"m^3", "m3"},
                                                                                    {"m³", "m3"},
                                                                                    {"m^2", "m2"},
                                                                                    {"m²", "m2"},
                                                                                    {"volt", "V"},
                                                                                    {"volts", "V"},
                                                                                    {"amp", "A"},
                                                                                    {"ampere", "A"},
                                                                                    {"metre", "m"},
                                                                                    {"meter", "m"},
                                                                                    {"rpm", "1/min"},
                                                                                    {"r/min", "1/min"},
                                                                                    {"l/min", "L/min"}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  auto parsed = parse(text, kDurations, kDurationForm);
  if (!parsed) return std::move(parsed).error();
  return Duration{parsed.value()};
}

std::string format_duration(Duration duration) { return format(duration.count(), kDurations); }

Result<std::uint64_t> parse_size(std::string_view text) {
  auto parsed = parse(text, kSizes, kSizeForm);
  if (!parsed) return std::move(parsed).error();
  return static_cast<std::uint64_t>(parsed.value());
}

std::string format_size(std::uint64_t bytes) { return format(static_cast<std::int64_t>(bytes), kSizes); }

std::string canonical_unit(std::string_view unit) {
  for (const auto& [written, canonical] : kSpellings) {
    if (written == unit) return std::string(canonical);
  }
  return std::string(unit);
}

bool units_agree(std::string_view left, std::string_view right) {
  return left.empty() || right.empty() || canonical_unit(left) == canonical_unit(right);
}

}  // namespace twinkeeper::base
