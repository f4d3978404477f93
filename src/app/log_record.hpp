// What commands that judge or make models have from a log: its rows on a fixed grid.
//
// Row 0 is at tick 0; a row belongs to the tick nearest its time, and ticks never fall: a row whose time goes back
// counts as one of the newest tick. Cells that are no finite number are NaN. Thread rule: pure functions. Allocates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identification/compare.hpp"
#include "logs/log_reader.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app {

// By signal: its column in the log; absent: the log lacks it.
using ColumnOfSignal = std::vector<std::optional<std::size_t>>;

[[nodiscard]] identification::Record record_of(const logs::LogTable& log, base::Duration period,
                                               const ColumnOfSignal& inputs, const ColumnOfSignal& outputs);

// Identifies the rows that a model was made of: times as they stand in the log, then values, with the signals' names.
[[nodiscard]] std::string hash_of_rows(const logs::LogTable& log, const ColumnOfSignal& inputs,
                                       const ColumnOfSignal& outputs);

// The step of a sensor whose values repeat: the median change from one row to the next of those that change. Nothing of
// one that repeats less than a twentieth of its values.
[[nodiscard]] std::optional<double> step_of(const std::vector<double>& values);

// "A:B", "A:" or ":B"; nothing if it is none of these.
[[nodiscard]] std::optional<logs::RowRange> parse_rows(const std::string& text);

// Of --rows, all rows without it; nothing after a fault, which has been told.
[[nodiscard]] std::optional<logs::RowRange> rows_asked(const std::string& command,
                                                       const std::optional<std::string>& rows);

}  // namespace twinkeeper::app
