// A log row by row: CSV whose first column is the time, all others numbers (contract, logs in).
//
//   separator   , ; or tab, whichever the header has most of
//   header      time column first, under any name, then names with the unit in brackets: level_1[m]
//   time        seconds as a number, or ISO 8601 with T or a space, UTC unless it has an offset; one kind in one file
//   cells       numbers with a decimal point; empty, NaN and null are missing (NaN in `values`)
//   passed over comments (#…) and blank lines
//
// Quotes around a cell are taken off. Errors name FILE:LINE:COLUMN, the column counting bytes from 1: corrupt (a row of
// another width, a cell that is no number, a time that is none); not_found, io from the file.
// Thread rule: one thread. Allocation: none per row once the sizes are known.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "logs/text_file.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::logs {

struct LogColumn {
  std::string name;
  std::string unit;  // empty: not said
};

struct LogRow {
  std::string_view time_text;       // as it stands in the log
  std::chrono::nanoseconds time{};  // since the log's own zero, or since 1970
  std::vector<double> values;       // by column, the time left out; NaN: missing
  std::uint64_t line = 0;
};

class LogReader {
 public:
  // Reads up to the header.
  [[nodiscard]] static base::Result<LogReader> open(const std::string& file);

  [[nodiscard]] const std::vector<LogColumn>& columns() const { return columns_; }  // without the time
  [[nodiscard]] const std::string& file() const { return file_.name(); }
  [[nodiscard]] bool time_is_date() const { return time_is_date_.value_or(false); }  // after the first row
  // False at the end. `row` refers to the reader's buffer until the next call.
  [[nodiscard]] base::Result<bool> next(LogRow& row);
  [[nodiscard]] std::size_t rows() const { return rows_; }  // given so far

 private:
  explicit LogReader(TextFile file) : file_(std::move(file)) {}
  base::Status read_header();
  [[nodiscard]] base::Result<std::optional<std::string_view>> next_line();
  std::string_view take_cell(std::string_view& rest) const;
  [[nodiscard]] base::Error fault(std::string_view line, std::string_view at, const std::string& what) const;
  [[nodiscard]] std::optional<std::chrono::nanoseconds> parse_time(std::string_view text);

  TextFile file_;
  char separator_ = ',';
  std::vector<LogColumn> columns_;
  std::optional<bool> time_is_date_;  // known from the first row on
  std::size_t rows_ = 0;
};

// `begin` and `end` count rows, half-open; `end` absent: to the end.
struct RowRange {
  std::size_t begin = 0;
  std::optional<std::size_t> end;
};
// Calls `take` with each row of the range, of a reader that has given none beyond its begin, and reads no further.
// Rows that the log lacks are invalid_argument, a range without any is corrupt.
[[nodiscard]] base::Status each_row(LogReader& reader, const RowRange& rows,
                                    const std::function<void(const LogRow&)>& take);

// A whole log in memory, column by column.
struct LogTable {
  std::string file;
  std::vector<LogColumn> columns;
  std::vector<std::string> time_texts;          // by row
  std::vector<std::chrono::nanoseconds> times;  // by row
  bool time_is_date = false;                    // times since 1970, else since the log's own zero
  std::vector<std::vector<double>> values;      // by column, then row

  [[nodiscard]] std::size_t rows() const { return times.size(); }
};
[[nodiscard]] base::Result<LogTable> read_log(const std::string& file, const RowRange& rows = {});

}  // namespace twinkeeper::logs
