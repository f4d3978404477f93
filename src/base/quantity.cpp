#include "twinkeeper/base/quantity.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

namespace twinkeeper::base {
namespace {

struct Suffix {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMillisecond;
constexpr std::array<Suffix, 5> kDurations{
    {{"d", 86'400 * kSecond}, {"h", 3'600 * kSecond}, {"min", 60 * kSecond}, {"s", kSecond}, {"ms", kMillisecond}}};
constexpr std::array<Suffix, 4> kSizes{{{"GiB", 1ll << 30}, {"MiB", 1ll << 20}, {"KiB", 1ll << 10}, {"B", 1}}};
constexpr const char* kDurationForm = "accepted: a number and one of ms s min h d, such as 100ms or 15min";
constexpr const char* kSizeForm = "accepted: a number and one of B KiB MiB GiB, such as 256MiB";

Error refused(std::string_view text, const std::string& what, const char* form) {
  std::string shown(text);
  if (std::size_t end = 80; end < shown.size()) {
    while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xc0U) == 0x80U) --end;  // between two characters
    shown = shown.substr(0, end) + "…";
  }
  return {ErrorCode::invalid_argument, "\"" + shown + "\" " + what + "; " + form};
}

bool digit(char c) { return c >= '0' && c <= '9'; }

struct Split {
  std::string_view whole;
  std::string_view fraction;
  std::string_view unit;
};

std::string_view take_digits(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && digit(text[end])) ++end;
  const std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  return digits;
}

// A plain non-negative decimal number followed by what should be a unit; no sign, exponent, space or leading point.
bool split(std::string_view text, Split& out) {
  out.whole = take_digits(text);
  if (out.whole.empty()) return false;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    out.fraction = take_digits(text);
    if (out.fraction.empty()) return false;
  }
  out.unit = text;
  return text.empty() || text.front() != '.';
}

// 0.<digits> · factor as in school, from the last digit on, so that it is exact for any number of digits; nothing if
// the product is no integer.
std::optional<std::int64_t> times_fraction(std::string_view digits, std::int64_t factor) {
  std::int64_t carry = 0;  // stays below `factor`
  for (std::size_t i = digits.size(); i-- > 0;) {
    const std::int64_t product = (digits[i] - '0') * factor + carry;
    if (product % 10 != 0) return std::nullopt;
    carry = product / 10;
  }
  return carry;
}

// What is wrong with a unit that is none, and what may have been meant by it.
std::string wrong_duration_unit(std::string_view unit) {
  return unit == "m" ? "is ambiguous: write min for minutes or ms for milliseconds" : "has an unknown unit";
}
std::string wrong_size_unit(std::string_view unit) {
  std::string what = "has an unknown unit";
  if (unit.size() > 1 && unit != "kB" && unit != "KB" && unit != "MB" && unit != "GB") return what;
  switch (unit.front()) {
    case 'k':
    case 'K': return what + ", did you mean KiB?";
    case 'm':
    case 'M': return what + ", did you mean MiB?";
    case 'g':
    case 'G': return what + ", did you mean GiB?";
    case 'b': return what + ", did you mean B?";
    default: return what;
  }
}

template <std::size_t N>
struct Quantity {
  const std::array<Suffix, N>& suffixes;
  const char* smallest;  // what no quantity can be a fraction of
  std::string (*wrong_unit)(std::string_view);
  const char* form;
};
constexpr Quantity<5> kDuration{kDurations, "nanoseconds", wrong_duration_unit, kDurationForm};
constexpr Quantity<4> kSize{kSizes, "bytes", wrong_size_unit, kSizeForm};

template <std::size_t N>
Result<std::int64_t> parse(std::string_view text, const Quantity<N>& quantity) {
  const char* const form = quantity.form;
  Split parts{};
  if (!split(text, parts)) return refused(text, "is not a number with a unit", form);
  if (parts.unit.empty()) return refused(text, "has no unit", form);
  for (const auto& suffix : quantity.suffixes) {
    if (suffix.name != parts.unit) continue;
    if (parts.whole.size() > 1 && parts.whole.front() == '0') return refused(text, "has a leading zero", form);
    const auto fraction = times_fraction(parts.fraction, suffix.factor);
    if (!fraction) return refused(text, std::string("is not a whole number of ") + quantity.smallest, form);
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(parts.whole.data(), parts.whole.data() + parts.whole.size(), whole);
    if (error != std::errc{} || whole > (std::numeric_limits<std::int64_t>::max() - *fraction) / suffix.factor) {
      return refused(text, "is too large", form);
    }
    return whole * suffix.factor + *fraction;
  }
  return refused(text, quantity.wrong_unit(parts.unit), form);
}

// Exact for every value, so that a parser reads the same value back.
template <std::size_t N>
std::string format(std::int64_t value, const std::array<Suffix, N>& suffixes) {
  const auto& smallest = suffixes.back();
  if (value == 0) return "0" + std::string(smallest.name);
  for (const auto& suffix : suffixes) {
    if (value % suffix.factor == 0) return std::to_string(value / suffix.factor) + std::string(suffix.name);
  }
  std::string fraction;
  for (std::int64_t unit = smallest.factor, rest = std::abs(value % unit); rest != 0; rest %= unit) {
    unit /= 10;
    fraction += static_cast<char>('0' + rest / unit);
  }
  const bool hidden_sign = value < 0 && value > -smallest.factor;
  return (hidden_sign ? "-" : "") + std::to_string(value / smallest.factor) + "." + fraction +
         std::string(smallest.name);
}

// Other spellings of units and the one that stands for them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 26> kSpellings{
    {{"°C", "degC"},    {"C", "degC"},     {"celsius", "degC"}, {"Celsius", "degC"}, {"deg C", "degC"},
     {"°F", "degF"},    {"kelvin", "K"},   {"percent", "%"},    {"pct", "%"},        {"m^3/h", "m3/h"},
     {"m³/h", "m3/h"},  {"m^3/s", "m3/s"}, {"m³/s", "m3/s"},    {"m^3", "m3"},       {"m³", "m3"},
     {"m^2", "m2"},     {"m²", "m2"},      {"volt", "V"},       {"volts", "V"},      {"amp", "A"},
     {"ampere", "A"},   {"metre", "m"},    {"meter", "m"},      {"rpm", "1/min"},    {"r/min", "1/min"},
     {"l/min", "L/min"}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  auto parsed = parse(text, kDuration);
  if (!parsed) return std::move(parsed).error();
  return Duration{parsed.value()};
}

std::string format_duration(Duration duration) { return format(duration.count(), kDurations); }

Result<std::uint64_t> parse_size(std::string_view text) {
  auto parsed = parse(text, kSize);
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
