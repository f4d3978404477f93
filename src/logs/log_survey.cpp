#include "logs/log_survey.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace twinkeeper::logs {
namespace {

double seconds_of(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

// The coarsest decimal that is near enough: without the last digits of jitter.
double rounded_step(double median) {
  double unit = 1e-9;
  for (int decade = 0; decade < 15; ++decade, unit *= 10.0) {
    const double round = std::round(median / (unit * 1e3)) * unit * 1e3;
    if (std::abs(round - median) > 2e-3 * median) return std::round(median / (unit * 1e2)) * unit * 1e2;
  }
  return median;
}

}  // namespace

std::vector<LogColumn> LogSurvey::log_columns() const {
  std::vector<LogColumn> out;
  for (const SurveyedColumn& one : columns) out.push_back(one.column);
  return out;
}

LogSurveyor::LogSurveyor(const std::vector<LogColumn>& columns) : missing_now_(columns.size(), 0) {
  for (const LogColumn& column : columns) survey_.columns.push_back({column});
}

void LogSurveyor::add(const LogRow& row) {
  if (survey_.rows == 0) {
    survey_.first = row.time;
  } else {
    take_step(survey_.last, row.time);
  }
  survey_.last = row.time;
  ++survey_.rows;
  for (std::size_t c = 0; c < row.values.size(); ++c) {
    SurveyedColumn& column = survey_.columns[c];
    if (!std::isfinite(row.values[c])) {
      ++column.missing;
      column.longest_missing = std::max(column.longest_missing, ++missing_now_[c]);
      continue;
    }
    missing_now_[c] = 0;
    column.least = std::min(column.least, row.values[c]);
    column.most = std::max(column.most, row.values[c]);
  }
}

void LogSurveyor::take_step(std::chrono::nanoseconds begin, std::chrono::nanoseconds end) {
  if (end == begin) ++survey_.repeated;
  if (end < begin) ++survey_.back;
  if (end <= begin) return;
  steps_.add(static_cast<double>((end - begin).count()));
  auto& longest = survey_.longest_gaps;
  const auto shorter = [&](const LogGap& one) { return one.end - one.begin < end - begin; };
  const auto place = std::find_if(longest.begin(), longest.end(), shorter);
  if (place == longest.end() && longest.size() == kGapsRemembered) return;
  longest.insert(place, {survey_.rows, begin, end});
  if (longest.size() > kGapsRemembered) longest.pop_back();
}

LogSurvey LogSurveyor::result() {
  constexpr double kEachSide = 0.05;
  if (steps_.count() > 0) {
    const double usual = 1e-9 * steps_.at(0.5);
    survey_.step = rounded_step(usual);
    survey_.shortest_usual = 1e-9 * steps_.at(kEachSide);
    survey_.longest_usual = 1e-9 * steps_.at(1.0 - kEachSide);
    const auto gaps = steps_.above(1e9 * kGap * usual);
    survey_.gaps = gaps.count;
    survey_.in_gaps = 1e-9 * gaps.sum;
    std::erase_if(survey_.longest_gaps,
                  [&](const LogGap& one) { return seconds_of(one.end - one.begin) <= kGap * usual; });
  }
  return std::move(survey_);
}

base::Result<LogSurvey> survey_log(const std::string& file, const RowRange& rows) {
  auto opened = LogReader::open(file);
  if (!opened.ok()) return opened.error();
  LogReader& reader = opened.value();
  LogSurveyor surveyor(reader.columns());
  const auto status = each_row(reader, rows, [&](const LogRow& row) { surveyor.add(row); });
  if (!status.ok()) return status.error();
  LogSurvey survey = surveyor.result();
  survey.file = file;
  survey.first_row = rows.begin;
  for (LogGap& gap : survey.longest_gaps) gap.row += rows.begin;
  survey.time_is_date = reader.time_is_date();
  return survey;
}

}  // namespace twinkeeper::logs
