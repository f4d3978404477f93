// What commands that judge or make models have from a log: its rows on a fixed grid, read in a stream. The text of a row
// is never kept; a tick costs 8 bytes a signal.
//
// Row 0 is at tick 0; a row belongs to the tick nearest its time, and ticks never fall: a row whose time goes back
// counts as one of the newest tick. Cells that are no finite number are NaN. Errors: of the reader and each_row().
// Thread rule: pure functions but for files. Allocates.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/log_columns.hpp"
#include "identification/resampler.hpp"
#include "logs/log_reader.hpp"
#include "logs/value_counts.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app {

// By signal: its column in the log; absent: the log lacks it.
using ColumnOfSignal = std::vector<std::optional<std::size_t>>;

// What a comparison looks at: the rows of a log one by one.
struct GridRow {
  std::string_view time_text;  // as it stands in the log
  std::int64_t tick = 0;
  Eigen::VectorXd u, y;
};
[[nodiscard]] base::Status each_grid_row(logs::LogReader& log, const logs::RowRange& rows, base::Duration period,
                                         const ColumnOfSignal& inputs, const ColumnOfSignal& outputs,
                                         const std::function<void(const GridRow&)>& take);

// The rows of these ranges, which ascend, on ticks (identification/resampler.hpp). `also` is called with each of them, and
// what it has of the inputs and outputs.
using OnLogRow = std::function<void(const logs::LogRow& row, std::span<const double> values)>;
[[nodiscard]] base::Result<identification::Resampled> resample_rows(logs::LogReader& log,
                                                                    const std::vector<logs::RowRange>& ranges,
                                                                    base::Duration period, const ColumnOfSignal& inputs,
                                                                    const ColumnOfSignal& outputs,
                                                                    const OnLogRow& also = {});

// What a model is made of.
struct TicksOfLog {
  identification::Resampled resampled;
  std::vector<std::optional<double>> resolutions;  // by output: SensorStep of its samples
  std::string hash;                                // of the rows, see hash_of_rows()
};
[[nodiscard]] base::Result<TicksOfLog> read_ticks(logs::LogReader& log, const logs::RowRange& rows,
                                                  base::Duration period, const ColumnOfSignal& inputs,
                                                  const ColumnOfSignal& outputs);

// Identifies the rows that a model was made of: times as they stand in the log, then values, with the signals' names.
[[nodiscard]] base::Result<std::string> hash_of_rows(logs::LogReader& log, const logs::RowRange& rows,
                                                     const ColumnOfSignal& inputs, const ColumnOfSignal& outputs);

// The step of a sensor whose values repeat: the median change from one sample to the next of those that change.
class SensorStep {
 public:
  void add(double value);
  // Nothing of one that repeats less than a twentieth of its values.
  [[nodiscard]] std::optional<double> result() const;

 private:
  logs::ValueCounts changes_;
  std::optional<double> last_;
  std::uint64_t pairs_ = 0;
};

// "A:B", "A:" or ":B"; nothing if it is none of these.
[[nodiscard]] std::optional<logs::RowRange> parse_rows(const std::string& text);

// Of --rows, all rows without it; nothing after a fault, which has been told.
[[nodiscard]] std::optional<logs::RowRange> rows_asked(const std::string& command,
                                                       const std::optional<std::string>& rows);

}  // namespace twinkeeper::app
