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
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const auto of_day = std::chrono::floor<std::chrono::milliseconds>(time - day).count();
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

}  // namespace twinkeeper::base
