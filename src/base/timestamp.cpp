#include "twinkeeper/base/timestamp.hpp"

#include <array>
#include <cstddef>

namespace twinkeeper::base {
namespace {

void put_digits(char* end, std::size_t count, unsigned value) {
  for (std::size_t i = 0; i < count; ++i, value /= 10) *--end = static_cast<char>('0' + value % 10);
}

}  // namespace

void append_rfc3339(std::string& out, WallTime time) {
  // In milliseconds first: nanoseconds don't reach to the first midnight.
  const auto rounded = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(rounded);
  const std::chrono::year_month_day date{day};
  const auto of_day = (rounded - day).count();
  std::array<char, 24> text{'0', '0', '0', '0', '-', '0', '0', '-', '0', '0', 'T', '0',
                            '0', ':', '0', '0', ':', '0', '0', '.', '0', '0', '0', 'Z'};
  const auto put = [&text](std::size_t end, std::size_t count, auto value) {
    put_digits(text.data() + end, count, static_cast<unsigned>(value));
  };
  put(4, 4, static_cast<int>(date.year()));
  put(7, 2, static_cast<unsigned>(date.month()));
  put(10, 2, static_cast<unsigned>(date.day()));
  put(13, 2, of_day / 3'600'000);
  put(16, 2, of_day / 60'000 % 60);
  put(19, 2, of_day / 1000 % 60);
  put(23, 3, of_day % 1000);
  out.append(text.data(), text.size());
}

std::string format_rfc3339(WallTime time) {
  std::string text;
  append_rfc3339(text, time);
  return text;
}

std::int64_t unix_milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  // Exactly `count` digits.
  [[nodiscard]] std::optional<int> number(std::size_t count) {
    if (rest_.size() < count) return std::nullopt;
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return std::nullopt;
      value = 10 * value + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  bool skip(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] bool at_digit() const { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::optional<WallTime> parse(std::string_view text, bool lenient) {
  Scanner scan(text);
  std::array<int, 6> fields{};  // year … second
  static constexpr std::array<char, 6> kBehind{'-', '-', 'T', ':', ':', '\0'};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto value = scan.number(i == 0 ? 4 : 2);
    if (!value) return std::nullopt;
    const bool separated = kBehind[i] == '\0' || scan.skip(kBehind[i]) || (lenient && i == 2 && scan.skip(' '));
    if (!separated) return std::nullopt;
    fields[i] = *value;
  }
  std::int64_t nanoseconds = 0;
  if (scan.skip('.')) {
    if (!scan.at_digit()) return std::nullopt;
    for (std::int64_t weight = 100'000'000; scan.at_digit(); weight /= 10) nanoseconds += weight * *scan.number(1);
  }
  int offset = 0;  // minutes
  if (!scan.skip('Z') && !(lenient && scan.at_end())) {
    const int sign = scan.skip('+') ? 1 : scan.skip('-') ? -1 : 0;
    const auto hours = scan.number(2);
    if (sign == 0 || !hours || !scan.skip(':')) return std::nullopt;
    const auto minutes = scan.number(2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    offset = sign * (60 * *hours + *minutes);
  }
  const auto [year, month, day, hour, minute, second] = fields;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!scan.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (year < 1678 || year > 2261) return std::nullopt;  // what a WallTime holds
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute - offset} +
         std::chrono::seconds{second} + std::chrono::nanoseconds{nanoseconds};
}

}  // namespace

std::optional<WallTime> parse_rfc3339(std::string_view text) { return parse(text, false); }
std::optional<WallTime> parse_log_time(std::string_view text) { return parse(text, true); }

}  // namespace twinkeeper::base
