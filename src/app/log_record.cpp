#include "app/log_record.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "app/log_columns.hpp"
#include "app/replay_csv.hpp"
#include "config/sha256.hpp"

namespace twinkeeper::app {
namespace {

bool parse_row(std::string_view text, std::size_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

double cell(const logs::LogRow& row, const std::optional<std::size_t>& column) {
  const double value = column ? row.values[*column] : std::numeric_limits<double>::quiet_NaN();
  return std::isfinite(value) ? value : std::numeric_limits<double>::quiet_NaN();
}

class HashOfRows {
 public:
  HashOfRows(const std::vector<logs::LogColumn>& log, const ColumnOfSignal& inputs, const ColumnOfSignal& outputs) {
    for (const auto* signals : {&inputs, &outputs}) {
      for (const auto& column : *signals) {
        if (column) columns_.push_back(*column);
      }
    }
    line_ = "time";
    for (const std::size_t column : columns_) line_ += "," + log[column].name;
    hash_.add(line_);
  }
  void add(const logs::LogRow& row) {
    line_ = '\n';
    line_ += row.time_text;
    for (const std::size_t column : columns_) {
      line_ += ',';
      append_shortest(line_, row.values[column]);
    }
    hash_.add(line_);
  }
  [[nodiscard]] std::string text() { return hash_.text(); }

 private:
  std::vector<std::size_t> columns_;
  std::string line_;
  config::Sha256 hash_;
};

}  // namespace

base::Status each_grid_row(logs::LogReader& log, const logs::RowRange& rows, base::Duration period,
                           const ColumnOfSignal& inputs, const ColumnOfSignal& outputs,
                           const std::function<void(const GridRow&)>& take) {
  std::optional<std::chrono::nanoseconds> zero;
  GridRow out;
  out.u.resize(static_cast<Eigen::Index>(inputs.size()));
  out.y.resize(static_cast<Eigen::Index>(outputs.size()));
  return logs::each_row(log, rows, [&](const logs::LogRow& row) {
    if (!zero) zero = row.time;
    const std::int64_t tick = base::nearest_grid_point(base::Instant{}, period, base::Instant{row.time - *zero});
    out.tick = std::max(out.tick, tick);
    out.time_text = row.time_text;
    for (std::size_t i = 0; i < inputs.size(); ++i) out.u(static_cast<Eigen::Index>(i)) = cell(row, inputs[i]);
    for (std::size_t i = 0; i < outputs.size(); ++i) out.y(static_cast<Eigen::Index>(i)) = cell(row, outputs[i]);
    take(out);
  });
}

base::Result<identification::Resampled> resample_rows(logs::LogReader& log, const std::vector<logs::RowRange>& ranges,
                                                      base::Duration period, const ColumnOfSignal& inputs,
                                                      const ColumnOfSignal& outputs, const OnLogRow& also) {
  identification::Resampler resampler(period, inputs.size(), outputs.size());
  std::vector<double> values;
  for (const logs::RowRange& range : ranges) {
    const auto status = logs::each_row(log, range, [&](const logs::LogRow& row) {
      values.clear();
      for (const auto& column : inputs) values.push_back(cell(row, column));
      for (const auto& column : outputs) values.push_back(cell(row, column));
      if (also) also(row, values);
      resampler.add(row.time, values);
    });
    if (!status.ok()) return status.error();
  }
  return resampler.finish();
}

base::Result<TicksOfLog> read_ticks(logs::LogReader& log, const logs::RowRange& rows, base::Duration period,
                                    const ColumnOfSignal& inputs, const ColumnOfSignal& outputs) {
  std::vector<SensorStep> sensors(outputs.size());
  HashOfRows hash(log.columns(), inputs, outputs);
  auto resampled =
      resample_rows(log, {rows}, period, inputs, outputs, [&](const logs::LogRow& row, std::span<const double> values) {
        hash.add(row);
        for (std::size_t i = 0; i < sensors.size(); ++i) {
          sensors[i].add(values[inputs.size() + i]);
        }
      });
  if (!resampled.ok()) return resampled.error();
  TicksOfLog out;
  out.resampled = std::move(resampled).value();
  for (const SensorStep& sensor : sensors) out.resolutions.push_back(sensor.result());
  out.hash = hash.text();
  return out;
}

base::Result<std::string> hash_of_rows(logs::LogReader& log, const logs::RowRange& rows, const ColumnOfSignal& inputs,
                                       const ColumnOfSignal& outputs) {
  HashOfRows hash(log.columns(), inputs, outputs);
  const auto status = logs::each_row(log, rows, [&](const logs::LogRow& row) { hash.add(row); });
  if (!status.ok()) return status.error();
  return hash.text();
}

void SensorStep::add(double value) {
  if (!std::isfinite(value)) return;
  if (last_) {
    ++pairs_;
    if (value != *last_) changes_.add(std::abs(value - *last_));
  }
  last_ = value;
}

std::optional<double> SensorStep::result() const {
  constexpr double kRepeats = 0.05;
  const auto changes = static_cast<double>(changes_.count());
  if (changes_.count() == 0 || changes > (1.0 - kRepeats) * static_cast<double>(pairs_)) return std::nullopt;
  return changes_.at(0.5);
}

std::optional<logs::RowRange> parse_rows(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  logs::RowRange rows;
  const std::string_view begin = std::string_view(text).substr(0, colon);
  const std::string_view end = std::string_view(text).substr(colon + 1);
  if (!begin.empty() && !parse_row(begin, rows.begin)) return std::nullopt;
  if (!end.empty() && !parse_row(end, rows.end.emplace())) return std::nullopt;
  if (rows.end && *rows.end <= rows.begin) return std::nullopt;
  return rows;
}

std::optional<logs::RowRange> rows_asked(const std::string& command, const std::optional<std::string>& rows) {
  if (!rows) return logs::RowRange{};
  auto parsed = parse_rows(*rows);
  if (!parsed) told(command + ": --rows: " + *rows + "; accepted: A:B, zero-based, the row B not included", 0);
  return parsed;
}

}  // namespace twinkeeper::app
