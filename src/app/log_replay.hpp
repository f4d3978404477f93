// Runs a log through validation, synchroniser, twin and diagnosis: the objects of the live service, as fast as they go.
//
// Row 0 is at tick 0; a row belongs to the tick nearest its time, and within 1 % of the period it counts as on the
// tick. What is told of row k follows from rows 0…k alone: ticks between two rows are stepped when the later one comes,
// and of several rows in one tick each is told as if it were the last, the next going on from the same state. A row
// whose tick is closed already goes back in time: its samples are late, as live ones would be, and what is told is its
// step as it is with them, or the newest if its step is further back than the twin's history. A cell without a number
// is no sample. Errors: of the reader; corrupt when two rows are more than kLongestGap periods apart; cancelled. Thread rule: one
// thread. Allocation: none per row, but for the second and further rows of one tick.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "app/plan.hpp"
#include "logs/log_reader.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::app {

inline constexpr std::int64_t kLongestGap = 10'000'000;  // periods

class LogReplayOutput {
 public:
  virtual ~LogReplayOutput() = default;
  // `tick`: of the row. `anomaly`: whether one of the twin stands.
  virtual void row(std::string_view time_text, std::int64_t tick, const estimation::TwinStep& step,
                   std::string_view regime, bool anomaly) = 0;
  // A tick without a row, in between; `time` in the log's own terms.
  virtual void step_without_row(std::chrono::nanoseconds /*time*/, const estimation::TwinStep&,
                                std::string_view /*regime*/, bool /*anomaly*/) {}
  [[nodiscard]] virtual bool stopped() const { return false; }  // asked before each row: the replay ends, cancelled
  virtual void anomaly(std::string_view /*time_text*/, const diagnosis::AnomalyEvent&) {}
};

struct LogReplaySummary {
  std::uint64_t rows = 0;
  std::uint64_t rows_late = 0;     // went back in time
  std::uint64_t rows_dropped = 0;  // of those, with samples too far back to be of use
  std::uint64_t steps = 0;
  std::uint64_t samples = 0;
  std::uint64_t samples_bad = 0;
  std::uint64_t rows_with_anomaly = 0;
};

// `tags`: by column of the log, absent: not used. Rows outside of `rows` are passed over: the first within is row 0.
[[nodiscard]] base::Result<LogReplaySummary> replay_log(const Plan& plan, std::size_t twin, logs::LogReader& log,
                                                        const std::vector<std::optional<signals::TagIndex>>& tags,
                                                        LogReplayOutput& output, const logs::RowRange& rows = {});

}  // namespace twinkeeper::app
