// What a log has, told in one pass without holding it: columns and units, rows and their step, gaps, missing samples.
//
//   step      the usual time between two rows: the median of those that rise, as the coarsest decimal within 0.2 % of it
//   gap       a time between two rows of more than kGap usual steps
//   missing   a cell without a finite number
// The row of a gap is the first after it, counted from 0 as --rows counts. Thread rule: one thread. Allocates.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "logs/log_reader.hpp"
#include "logs/value_counts.hpp"

namespace twinkeeper::logs {

inline constexpr double kGap = 1.5;                // usual steps
inline constexpr std::size_t kGapsRemembered = 5;  // the longest

struct SurveyedColumn {
  LogColumn column;
  std::uint64_t missing = 0;
  std::uint64_t longest_missing = 0;  // rows, one after the other
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  [[nodiscard]] bool empty() const { return least > most; }
  [[nodiscard]] bool constant() const { return least == most; }
};

struct LogGap {
  std::size_t row = 0;  // the first after it
  std::chrono::nanoseconds begin{}, end{};
};

struct LogSurvey {
  std::string file;
  std::vector<SurveyedColumn> columns;
  std::size_t first_row = 0, rows = 0;
  bool time_is_date = false;
  std::chrono::nanoseconds first{}, last{};          // times of the first and the last row
  double step = 0.0;                                 // s; 0: no time rises
  double shortest_usual = 0.0, longest_usual = 0.0;  // s, of steps that rise 5 % are shorter, 5 % are longer
  std::uint64_t gaps = 0;
  double in_gaps = 0.0;              // s, together
  std::vector<LogGap> longest_gaps;  // at most kGapsRemembered, the longest first
  std::uint64_t repeated = 0;        // rows with the time of the row before
  std::uint64_t back = 0;            // rows whose time is before that of the row before

  [[nodiscard]] std::vector<LogColumn> log_columns() const;
};

class LogSurveyor {
 public:
  explicit LogSurveyor(const std::vector<LogColumn>& columns);
  void add(const LogRow& row);
  [[nodiscard]] LogSurvey result();  // ends it

 private:
  void take_step(std::chrono::nanoseconds begin, std::chrono::nanoseconds end);

  LogSurvey survey_;
  std::vector<std::uint64_t> missing_now_;  // by column
  ValueCounts steps_;                       // ns
};

// Errors: of the reader, and of each_row().
[[nodiscard]] base::Result<LogSurvey> survey_log(const std::string& file, const RowRange& rows = {});

}  // namespace twinkeeper::logs
