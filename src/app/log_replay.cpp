#include "app/log_replay.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/twin_run.hpp"
#include "drivers/decoder.hpp"

namespace twinkeeper::app {
namespace {

constexpr base::Instant kOrigin{};
constexpr std::int64_t kOnTick = 100;  // a row within period / kOnTick of a tick is on it

class LogReplay {
 public:
  LogReplay(const Plan& plan, std::size_t twin, logs::LogReader& log,
            const std::vector<std::optional<signals::TagIndex>>& tags, LogReplayOutput& output,
            const logs::RowRange& rows)
      : log_(log),
        rows_(rows),
        output_(output),
        period_(plan.config.twins[twin].period),
        tags_(tags),
        live_{acquisition::Validator(tag_rules(plan)), make_twin_run(plan, twin, kOrigin)} {
    for (const TagOrigin& origin : tag_origins(plan.config)) {
      registers_.push_back(&plan.config.devices[origin.device].driver.registers[origin.reg]);
    }
  }

  base::Result<LogReplaySummary> run() {
    Row row;
    Row next;
    auto more = read(row);
    while (more.ok() && more.value()) {
      if (output_.stopped()) return base::Error(base::ErrorCode::cancelled, "stopped");
      more = read(next);
      if (!more.ok()) break;
      if (auto status = take(row, more.value() && next.tick == row.tick); !status.ok()) return status.error();
      std::swap(row, next);
    }
    if (!more.ok()) return more.error();
    return summary_;
  }

 private:
  struct Row {
    std::string time_text;
    std::chrono::nanoseconds time{};
    base::Instant instant;
    std::int64_t tick = 0;
    std::vector<double> values;
    std::uint64_t line = 0;
  };
  struct State {
    acquisition::Validator validator;
    TwinRun run;
  };

  base::Result<bool> read(Row& row) {
    for (; passed_ < rows_.begin; ++passed_) {
      if (auto more = log_.next(read_); !more.ok() || !more.value()) return more;
    }
    if (rows_.end && passed_ >= *rows_.end) return false;
    ++passed_;
    auto more = log_.next(read_);
    if (!more.ok() || !more.value()) return more;
    if (!zero_) zero_ = read_.time;
    row.time_text.assign(read_.time_text);
    row.time = read_.time;
    row.line = read_.line;
    std::swap(row.values, read_.values);
    row.instant = kOrigin + (read_.time - *zero_);
    row.tick = base::nearest_grid_point(kOrigin, period_, row.instant);
    const base::Instant on_tick = base::grid_point(kOrigin, period_, row.tick);
    if (std::chrono::abs(row.instant - on_tick) * kOnTick <= period_) row.instant = on_tick;
    return true;
  }

  base::Status take(const Row& row, bool tick_goes_on) {
    ++summary_.rows;
    if (row.tick < newest_tick_ || (row.tick == newest_tick_ && !before_)) {
      ++summary_.rows_late;
      const std::uint64_t dropped = live_.run.synchroniser().counters().dropped_total;
      accept(row, live_);
      if (live_.run.synchroniser().counters().dropped_total > dropped) ++summary_.rows_dropped;
      live_.run.revise();
      const estimation::TwinStep* step = live_.run.at(row.tick);
      tell(row, step != nullptr ? *step : live_.run.newest());
      return base::Success{};
    }
    if (before_) {  // the row before was of this tick, too: its step is done again with the samples of both
      live_ = *before_;
      before_.reset();
      --summary_.steps;
    }
    if (newest_tick_ >= 0 && row.tick - newest_tick_ > kLongestGap) {
      return base::Error(base::ErrorCode::corrupt, log_.file() + ":" + std::to_string(row.line) +
                                                       ":1: the time is more than " + std::to_string(kLongestGap) +
                                                       " periods after that of the row before; accepted: smaller gaps");
    }
    for (std::int64_t tick = std::max<std::int64_t>(newest_tick_ + 1, 0); tick < row.tick; ++tick) {
      step(row, tick, true);
      output_.step_without_row(*zero_ + tick * period_, live_.run.newest(), live_.run.regime_of(live_.run.newest()),
                               anomaly());
    }
    accept(row, live_);
    if (tick_goes_on) before_ = live_;
    step(row, row.tick, !tick_goes_on);
    newest_tick_ = row.tick;
    tell(row, live_.run.newest());
    return base::Success{};
  }

  void accept(const Row& row, State& state) {
    for (std::size_t c = 0; c < row.values.size(); ++c) {
      if (!tags_[c] || std::isnan(row.values[c])) continue;
      sample_.tag = *tags_[c];
      sample_.value = row.values[c];
      sample_.raw = drivers::raw_from_value(*registers_[sample_.tag], sample_.value);
      sample_.quality = signals::Quality::good;
      sample_.reason = signals::Reason::none;
      sample_.time = row.instant;
      state.validator.validate(sample_);
      ++summary_.samples;
      if (sample_.quality == signals::Quality::bad) ++summary_.samples_bad;
      state.run.accept(sample_);
    }
  }

  void step(const Row& row, std::int64_t tick, bool final) {
    live_.run.step(tick, anomalies_);
    ++summary_.steps;
    if (final) {
      for (const auto& event : anomalies_) output_.anomaly(row.time_text, event);
    }
    anomalies_.clear();
  }

  [[nodiscard]] bool anomaly() const { return live_.run.alarms().active_count() > 0; }

  void tell(const Row& row, const estimation::TwinStep& step) {
    if (anomaly()) ++summary_.rows_with_anomaly;
    output_.row(row.time_text, row.tick, step, live_.run.regime_of(step), anomaly());
  }

  logs::LogReader& log_;
  const logs::RowRange rows_;
  std::size_t passed_ = 0;  // rows of the log
  LogReplayOutput& output_;
  const base::Duration period_;
  const std::vector<std::optional<signals::TagIndex>>& tags_;
  std::vector<const drivers::RegisterSettings*> registers_;  // by TagIndex
  State live_;
  std::optional<State> before_;  // the newest step with its samples so far, if more rows of its tick follow
  std::int64_t newest_tick_ = -1;
  std::optional<std::chrono::nanoseconds> zero_;
  logs::LogRow read_;
  signals::Sample sample_;
  std::vector<diagnosis::AnomalyEvent> anomalies_;
  LogReplaySummary summary_;
};

}  // namespace

base::Result<LogReplaySummary> replay_log(const Plan& plan, std::size_t twin, logs::LogReader& log,
                                          const std::vector<std::optional<signals::TagIndex>>& tags,
                                          LogReplayOutput& output, const logs::RowRange& rows) {
  return LogReplay(plan, twin, log, tags, output, rows).run();
}

}  // namespace twinkeeper::app
