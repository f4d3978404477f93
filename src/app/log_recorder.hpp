// Samples as they come, to the rows of a log (docs/formats/logs.md) that replay, compare and identify read.
//
// One row per point of the fastest tag's grid, counted from the gateway's own origin, so a row of the log is a tick of the
// service; a sample belongs to the row nearest its time. A bad value, or none, is an empty cell. The first row is on a
// whole second. A row is written `patience` after its time, the longest time-out and more; what comes later is counted and
// not in the log. Times are dates: of the machine's clock at the first row, from there on by the clock that can't be set.
// Errors: io, at finish(). Thread rule: one thread. Allocation: per row.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "app/replay_csv.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

struct RecordedTag {
  std::string name;
  std::string unit;
  bool is_number = true;  // text has no column
  base::Duration interval{};
  base::Duration timeout{};
};

class LogRecorder {
 public:
  // `now` is the instant that is `wall`; rows begin at the next whole second from then.
  LogRecorder(std::vector<RecordedTag> tags, CsvFile out, base::Instant grid_origin, base::Instant now,
              base::WallTime wall);

  // NaN: bad.
  void take(std::size_t tag, base::Instant time, double value);
  // Writes the rows that are due.
  void advance(base::Instant now) { write_until(now - patience_); }
  // Writes what is left up to `end`, and the file to its end.
  [[nodiscard]] base::Status finish(base::Instant end);

  [[nodiscard]] bool good() const { return out_.good(); }  // false: the disk takes no more
  [[nodiscard]] base::Instant first_row() const { return base::grid_point(origin_, interval_, 0); }
  [[nodiscard]] base::Duration patience() const { return patience_; }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t values() const { return values_; }
  [[nodiscard]] std::uint64_t late() const { return late_; }

 private:
  void write_until(base::Instant end);
  void write(const std::vector<double>& row);

  const std::vector<RecordedTag> tags_;
  CsvFile out_;
  base::Duration interval_{};
  base::Duration patience_{};
  base::Instant origin_;                     // of row 0
  base::WallTime wall_;                      // of row 0, whole milliseconds
  std::int64_t next_row_ = 0;                // not written yet
  std::deque<std::vector<double>> waiting_;  // rows from next_row_ on
  std::uint64_t rows_ = 0;
  std::uint64_t values_ = 0;
  std::uint64_t late_ = 0;
  std::string line_;
};

}  // namespace twinkeeper::app
