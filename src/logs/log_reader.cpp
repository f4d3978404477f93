#include "logs/log_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::logs {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr double kLongest = 9e9;  // s, what nanoseconds in 64 bits hold
constexpr const char* kTimeForm =
    "accepted: seconds as a number, or YYYY-MM-DD hh:mm:ss[.fff] with or without an offset";

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string cell_quoted(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string out = "\"";
  for (const char c : text.substr(0, kMost)) out += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  return out + (text.size() > kMost ? "…\"" : "\"");
}

bool equal_but_for_case(std::string_view text, std::string_view small) {
  return text.size() == small.size() &&
         std::equal(text.begin(), text.end(), small.begin(), [](char a, char b) { return (a | 0x20) == b; });
}

bool is_missing(std::string_view text) {
  return text.empty() || equal_but_for_case(text, "nan") || equal_but_for_case(text, "null");
}

std::optional<double> number(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Decimal seconds without an exponent, exactly.
std::optional<std::chrono::nanoseconds> decimal_seconds(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  std::int64_t whole = 0;
  std::size_t digits = 0;
  const auto digit = [&] { return !text.empty() && text.front() >= '0' && text.front() <= '9'; };
  for (; digit() && digits < 10; ++digits, text.remove_prefix(1)) whole = 10 * whole + (text.front() - '0');
  std::int64_t fraction = 0;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    std::int64_t weight = 100'000'000;
    bool half = false;  // the first digit that finds no room rounds
    for (bool first = true; digit(); text.remove_prefix(1), ++digits) {
      fraction += weight * (text.front() - '0');
      if (weight == 0 && first) {
        half = text.front() >= '5';
        first = false;
      }
      weight /= 10;
    }
    fraction += half ? 1 : 0;
  }
  if (digits == 0 || !text.empty() || static_cast<double>(whole) > kLongest) return std::nullopt;
  const std::int64_t value = whole * 1'000'000'000 + fraction;
  return std::chrono::nanoseconds{negative ? -value : value};
}

std::optional<std::chrono::nanoseconds> seconds(std::string_view text) {
  if (const auto exact = decimal_seconds(text)) return exact;
  const auto value = number(text);
  if (!value || !(std::abs(*value) <= kLongest)) return std::nullopt;
  return std::chrono::nanoseconds{std::llround(*value * 1e9)};
}

char most_frequent_separator(std::string_view header) {
  constexpr std::array<char, 3> kSeparators{',', ';', '\t'};
  return *std::max_element(kSeparators.begin(), kSeparators.end(), [&](char a, char b) {
    return std::count(header.begin(), header.end(), a) < std::count(header.begin(), header.end(), b);
  });
}

LogColumn column_of(std::string_view text) {
  text = trimmed(text);
  const std::size_t open = text.rfind('[');
  if (open == std::string_view::npos || text.back() != ']') return {std::string(text), {}};
  return {std::string(trimmed(text.substr(0, open))),
          std::string(trimmed(text.substr(open + 1, text.size() - open - 2)))};
}

}  // namespace

base::Error LogReader::fault(std::string_view line, std::string_view at, const std::string& what) const {
  return {base::ErrorCode::corrupt, file_.name() + ":" + std::to_string(file_.line()) + ":" +
                                        std::to_string(at.data() - line.data() + 1) + ": " + what};
}

base::Result<LogReader> LogReader::open(const std::string& file) {
  auto text = TextFile::open(file);
  if (!text.ok()) return text.error();
  LogReader reader(std::move(text).value());
  if (auto status = reader.read_header(); !status.ok()) return status.error();
  return reader;
}

base::Result<std::optional<std::string_view>> LogReader::next_line() {
  for (;;) {
    auto line = file_.next();
    if (!line.ok() || !line.value()) return line;
    const std::string_view text = *line.value();
    if (!text.empty() && text.front() != '#' && !trimmed(text).empty()) return line;
  }
}

std::string_view LogReader::take_cell(std::string_view& rest) const {
  std::size_t end = 0;
  if (!rest.empty() && rest.front() == '"') {
    const std::size_t close = rest.find('"', 1);
    end = rest.find(separator_, close == std::string_view::npos ? 0 : close);
  } else {
    end = rest.find(separator_);
  }
  std::string_view cell = rest.substr(0, end);
  // What is left has no data when this was the last cell: a row is told from one with an empty last cell by that.
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  cell = separator_ == '\t' ? cell : trimmed(cell);
  if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = cell.substr(1, cell.size() - 2);
  return cell;
}

base::Status LogReader::read_header() {
  auto next = next_line();
  if (!next.ok()) return next.error();
  if (!next.value()) {
    return base::Error(base::ErrorCode::corrupt,
                       file_.name() + ": no header; accepted: a line with the names of the columns, the time first");
  }
  const std::string_view line = *next.value();
  separator_ = most_frequent_separator(line);
  std::string_view rest = line;
  take_cell(rest);
  while (rest.data() != nullptr) {
    const std::string_view cell = take_cell(rest);
    LogColumn column = column_of(cell);
    if (column.name.empty()) return fault(line, cell, "a column without a name; accepted: NAME or NAME[UNIT]");
    if (std::any_of(columns_.begin(), columns_.end(), [&](const auto& c) { return c.name == column.name; })) {
      return fault(line, cell, cell_quoted(column.name) + " is there twice; accepted: each column once");
    }
    columns_.push_back(std::move(column));
  }
  if (columns_.empty()) {
    return fault(line, line, "no column beside the time; accepted: columns separated by , ; or tab");
  }
  if (std::all_of(columns_.begin(), columns_.end(), [](const auto& c) { return number(c.name).has_value(); })) {
    return fault(line, line, "numbers where the header should be; accepted: the names of the columns, the time first");
  }
  return base::Success{};
}

std::optional<std::chrono::nanoseconds> LogReader::parse_time(std::string_view text) {
  if (!time_is_date_.value_or(false)) {
    if (const auto time = seconds(text)) {
      time_is_date_ = false;
      return time;
    }
    if (time_is_date_) return std::nullopt;
  }
  const auto wall = base::parse_log_time(text);
  if (!wall) return std::nullopt;
  time_is_date_ = true;
  return wall->time_since_epoch();
}

base::Result<bool> LogReader::next(LogRow& row) {
  auto next = next_line();
  if (!next.ok()) return next.error();
  if (!next.value()) return false;
  const std::string_view line = *next.value();
  std::string_view rest = line;
  row.line = file_.line();
  row.time_text = take_cell(rest);
  const auto time = parse_time(row.time_text);
  if (!time) return fault(line, row.time_text, cell_quoted(row.time_text) + " is no time; " + kTimeForm);
  row.time = *time;
  row.values.resize(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (rest.data() == nullptr) {
      return fault(
          line, line.substr(line.size()),
          std::to_string(c + 1) + " cells; accepted: " + std::to_string(columns_.size() + 1) + ", as the header has");
    }
    const std::string_view cell = take_cell(rest);
    if (const auto value = number(cell)) {
      row.values[c] = *value;
    } else if (is_missing(cell)) {
      row.values[c] = kMissing;
    } else {
      return fault(line, cell,
                   columns_[c].name + ": " + cell_quoted(cell) +
                       " is no number; accepted: a number with a decimal point, or an empty cell, NaN or "
                       "null for a missing one");
    }
  }
  if (rest.data() != nullptr) {
    return fault(line, rest,
                 "more than " + std::to_string(columns_.size() + 1) +
                     " cells; accepted: " + std::to_string(columns_.size() + 1) + ", as the header has");
  }
  ++rows_;
  return true;
}

base::Status each_row(LogReader& reader, const RowRange& rows, const std::function<void(const LogRow&)>& take) {
  LogRow row;
  bool any = false;
  while (!rows.end || reader.rows() < *rows.end) {
    const auto more = reader.next(row);
    if (!more.ok()) return more.error();
    if (!more.value()) break;
    if (reader.rows() <= rows.begin) continue;
    any = true;
    take(row);
  }
  const std::size_t there = reader.rows();
  if (rows.begin > there || rows.end.value_or(0) > there) {
    return base::Error(base::ErrorCode::invalid_argument,
                       reader.file() + " has " + std::to_string(there) +
                           " rows; accepted: A:B with 0 <= A < B <= " + std::to_string(there));
  }
  if (!any) return base::Error(base::ErrorCode::corrupt, reader.file() + " has no rows");
  return base::Success{};
}

base::Result<LogTable> read_log(const std::string& file, const RowRange& rows) {
  auto opened = LogReader::open(file);
  if (!opened.ok()) return opened.error();
  LogReader& reader = opened.value();
  LogTable table;
  table.file = file;
  table.columns = reader.columns();
  table.values.resize(table.columns.size());
  const auto status = each_row(reader, rows, [&](const LogRow& row) {
    table.time_texts.emplace_back(row.time_text);
    table.times.push_back(row.time);
    for (std::size_t c = 0; c < row.values.size(); ++c) table.values[c].push_back(row.values[c]);
  });
  if (!status.ok()) return status.error();
  table.time_is_date = reader.time_is_date();
  return table;
}

}  // namespace twinkeeper::logs
