#include "app/log_recorder.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kLeastPatience = 500ms;  // samples are handed on a few times a second
constexpr std::int64_t kMostAhead = 100'000;      // rows: a sample from beyond is no sample

base::Duration shortest(const std::vector<RecordedTag>& tags) {
  base::Duration interval = 24h;
  for (const RecordedTag& tag : tags) interval = std::min(interval, std::max<base::Duration>(tag.interval, 1us));
  return interval;
}

base::Duration longest_timeout(const std::vector<RecordedTag>& tags) {
  base::Duration timeout{};
  for (const RecordedTag& tag : tags) timeout = std::max(timeout, tag.timeout);
  return timeout;
}

}  // namespace

LogRecorder::LogRecorder(std::vector<RecordedTag> tags, CsvFile out, base::Instant grid_origin, base::Instant now,
                         base::WallTime wall)
    : tags_(std::move(tags)),
      out_(std::move(out)),
      interval_(shortest(tags_)),
      patience_(kLeastPatience + interval_ / 2 + longest_timeout(tags_)) {
  const base::Instant begin{std::chrono::ceil<std::chrono::seconds>(now.time_since_epoch())};
  std::int64_t first = base::nearest_grid_point(grid_origin, interval_, begin);
  if (base::grid_point(grid_origin, interval_, first) < begin) ++first;
  origin_ = base::grid_point(grid_origin, interval_, first);
  wall_ = std::chrono::floor<std::chrono::milliseconds>(wall + (origin_ - now));
  line_ = "time";
  for (const RecordedTag& tag : tags_) {
    if (!tag.is_number) continue;
    line_ += "," + tag.name;
    if (!tag.unit.empty() && tag.unit.find_first_of(",;\t[]\"\r\n") == std::string::npos) line_ += "[" + tag.unit + "]";
  }
  out_.row(line_);
}

void LogRecorder::take(std::size_t tag, base::Instant time, double value) {
  if (tag >= tags_.size() || !tags_[tag].is_number) return;
  const std::int64_t row = base::nearest_grid_point(origin_, interval_, time);
  if (row < 0 || row > next_row_ + kMostAhead) return;
  if (row < next_row_) {
    ++late_;
    return;
  }
  const auto place = static_cast<std::size_t>(row - next_row_);
  while (waiting_.size() <= place) waiting_.emplace_back(tags_.size(), std::numeric_limits<double>::quiet_NaN());
  if (std::isfinite(value)) waiting_[place][tag] = value;
}

void LogRecorder::write_until(base::Instant end) {
  static const std::vector<double> kNothing;
  for (; base::grid_point(origin_, interval_, next_row_) < end; ++next_row_) {
    write(waiting_.empty() ? kNothing : waiting_.front());
    if (!waiting_.empty()) waiting_.pop_front();
  }
  out_.flush();
}

void LogRecorder::write(const std::vector<double>& row) {
  const base::Duration since = next_row_ * interval_;
  line_.clear();
  base::append_rfc3339(line_, wall_ + since);
  if (const auto rest = (since % 1ms).count(); rest != 0) {
    char digits[8];
    std::snprintf(digits, sizeof digits, "%06d", static_cast<int>(rest));
    line_.insert(line_.size() - 1, digits);
  }
  for (std::size_t tag = 0; tag < tags_.size(); ++tag) {
    if (!tags_[tag].is_number) continue;
    line_ += ',';
    if (row.empty() || std::isnan(row[tag])) continue;
    append_shortest(line_, row[tag]);
    ++values_;
  }
  out_.row(line_);
  ++rows_;
}

base::Status LogRecorder::finish(base::Instant end) {
  write_until(end);
  return out_.close();
}

}  // namespace twinkeeper::app
