#include <algorithm>
#include <cmath>
#include <limits>

#include "logs/report_page.hpp"

namespace twinkeeper::logs {
namespace {

constexpr std::size_t kOfHalving = 4;  // points that become two
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

}  // namespace

ReportRows::ReportRows(std::size_t columns, std::size_t most_rows)
    : most_rows_(most_rows), columns_(columns), ends_(columns, Ends{kNothing, kNothing}) {}

void ReportRows::add(std::int64_t tick, const std::vector<double>& values) {
  if (tick <= last_) return;
  last_ = tick;
  if (stride_ == 1) {
    ticks_.push_back(tick);
    for (std::size_t c = 0; c < columns_.size(); ++c) columns_[c].push_back(values[c]);
    if (ticks_.size() >= most_rows_ && ticks_.size() % kOfHalving == 0) halve();
    return;
  }
  if (waiting_ == 0) first_tick_ = tick;
  if (waiting_ <= stride_) middle_tick_ = tick;
  ++waiting_;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    Ends& ends = ends_[c];
    const double value = values[c];
    if (std::isnan(value)) continue;
    if (!(ends.least <= value)) {
      ends.least = value;
      ends.least_first = false;
    }
    if (!(ends.most >= value)) {
      ends.most = value;
      ends.least_first = true;
    }
  }
  if (waiting_ == 2 * stride_) put_pair();
}

void ReportRows::finish() {
  if (waiting_ > 0) put_pair();
}

void ReportRows::append(const ReportRows& more) {
  if (more.ticks_ == ticks_) columns_.insert(columns_.end(), more.columns_.begin(), more.columns_.end());
}

void ReportRows::put_pair() {
  waiting_ = 0;
  ticks_.push_back(first_tick_);
  ticks_.push_back(middle_tick_);
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    Ends& ends = ends_[c];
    columns_[c].push_back(ends.least_first ? ends.least : ends.most);
    columns_[c].push_back(ends.least_first ? ends.most : ends.least);
    ends = {kNothing, kNothing};
  }
  if (ticks_.size() >= most_rows_ && ticks_.size() % kOfHalving == 0) halve();
}

void ReportRows::halve() {
  const std::size_t groups = ticks_.size() / kOfHalving;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t from = kOfHalving * g;
    for (auto& column : columns_) {
      std::size_t least = from;
      std::size_t most = from;
      for (std::size_t i = from; i < from + kOfHalving; ++i) {  // a NaN stays only where all are
        if (!(column[least] <= column[i]) && !std::isnan(column[i])) least = i;
        if (!(column[most] >= column[i]) && !std::isnan(column[i])) most = i;
      }
      const double first = column[std::min(least, most)];
      const double second = column[std::max(least, most)];
      column[2 * g] = first;
      column[2 * g + 1] = second;
    }
    ticks_[2 * g] = ticks_[from];
    ticks_[2 * g + 1] = ticks_[from + 2];
  }
  ticks_.resize(2 * groups);
  for (auto& column : columns_) column.resize(2 * groups);
  stride_ *= 2;
}

}  // namespace twinkeeper::logs
