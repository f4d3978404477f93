#include "app/log_record.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "app/log_columns.hpp"
#include "app/replay_csv.hpp"
#include "config/model_writer.hpp"

namespace twinkeeper::app {
namespace {

bool parse_row(std::string_view text, std::size_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

Eigen::MatrixXd columns_of(const logs::LogTable& log, const ColumnOfSignal& columns) {
  Eigen::MatrixXd out =
      Eigen::MatrixXd::Constant(static_cast<Eigen::Index>(log.rows()), static_cast<Eigen::Index>(columns.size()),
                                std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i]) continue;
    for (std::size_t row = 0; row < log.rows(); ++row) {
      const double value = log.values[*columns[i]][row];
      if (std::isfinite(value)) out(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(i)) = value;
    }
  }
  return out;
}

}  // namespace

identification::Record record_of(const logs::LogTable& log, base::Duration period, const ColumnOfSignal& inputs,
                                 const ColumnOfSignal& outputs) {
  identification::Record record;
  for (const auto time : log.times) {
    const base::Instant instant{time - log.times.front()};
    const std::int64_t tick = base::nearest_grid_point(base::Instant{}, period, instant);
    record.tick.push_back(record.tick.empty() ? tick : std::max(tick, record.tick.back()));
  }
  record.u = columns_of(log, inputs);
  record.y = columns_of(log, outputs);
  return record;
}

std::string hash_of_rows(const logs::LogTable& log, const ColumnOfSignal& inputs, const ColumnOfSignal& outputs) {
  std::vector<std::size_t> columns;
  for (const auto* signals : {&inputs, &outputs}) {
    for (const auto& column : *signals) {
      if (column) columns.push_back(*column);
    }
  }
  std::string text = "time";
  for (const std::size_t column : columns) text += "," + log.columns[column].name;
  for (std::size_t row = 0; row < log.rows(); ++row) {
    text += '\n' + log.time_texts[row];
    for (const std::size_t column : columns) {
      text += ',';
      append_shortest(text, log.values[column][row]);
    }
  }
  return config::hash_of(text);
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
