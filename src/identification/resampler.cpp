#include "identification/resampler.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::identification {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t kSeveral = 3;  // samples: a signal that is this fast has whole windows but at edges

}  // namespace

Resampler::Resampler(std::chrono::nanoseconds period, std::size_t inputs, std::size_t outputs)
    : period_(period), inputs_(inputs), signals_(inputs + outputs) {
  for (std::size_t i = 0; i < signals_.size(); ++i) {
    signals_[i].held = i < inputs;
    signals_[i].offset = i < inputs ? std::chrono::nanoseconds{0} : -period / 2;
  }
}

void Resampler::close(Signal& signal) {
  const double part = signal.covered / static_cast<double>(period_.count());
  const auto tick = std::lower_bound(ticks_.begin(), ticks_.end(), signal.window);
  if (part > 0.0 && tick != ticks_.end() && *tick == signal.window) {
    double& value = signal.by_tick[static_cast<std::size_t>(tick - ticks_.begin())];
    if (part >= kCovered) {
      value = signal.integral / signal.covered;
      ++out_.means;
    } else if (!signal.held && signal.tick == signal.window && signal.count >= kSeveral) {
      value = kMissing;
    }
  }
  signal.covered = signal.integral = 0.0;
}

// From the newest sample to the next one, window by window.
void Resampler::cover(Signal& signal, std::chrono::nanoseconds end, double value) {
  const double slope = signal.held ? 0.0 : (value - signal.value) / static_cast<double>((end - signal.time).count());
  for (auto from = signal.time; from < end;) {
    const std::int64_t window = (from - signal.offset) / period_;
    if (window != signal.window) close(signal);
    signal.window = window;
    const auto to = std::min(end, (window + 1) * period_ + signal.offset);
    const double length = static_cast<double>((to - from).count());
    const double middle = static_cast<double>((from - signal.time).count()) + 0.5 * length;
    signal.covered += length;
    signal.integral += length * (signal.value + slope * middle);
    from = to;
  }
}

void Resampler::take(Signal& signal, std::chrono::nanoseconds time, double value) {
  const std::int64_t tick = ticks_.back();
  const auto since = time - signal.time;
  const bool fast = signal.any && static_cast<double>(since.count()) * kFast <= static_cast<double>(period_.count());
  if (fast && since > std::chrono::nanoseconds{0}) cover(signal, time, value);
  if (signal.covered > 0.0 && (time - signal.offset) / period_ != signal.window) close(signal);
  if (tick != signal.tick) {
    signal.sum = 0.0;
    signal.count = 0;
  }
  signal.sum += value;
  signal.count += 1;
  signal.tick = tick;
  signal.any = true;
  signal.time = time;
  signal.value = value;
  signal.by_tick.back() = signal.held ? value : signal.sum / static_cast<double>(signal.count);
}

void Resampler::add(std::chrono::nanoseconds time, std::span<const double> values) {
  if (!any_) zero_ = newest_ = time;
  any_ = true;
  newest_ = std::max(newest_, time);
  ++out_.rows;
  const auto since = newest_ - zero_;
  const std::int64_t tick = base::nearest_grid_point(base::Instant{}, period_, base::Instant{since});
  if (ticks_.empty() || tick != ticks_.back()) {
    ticks_.push_back(tick);
    for (Signal& signal : signals_) signal.by_tick.push_back(kMissing);
  }
  for (std::size_t i = 0; i < signals_.size(); ++i) {
    if (std::isfinite(values[i])) take(signals_[i], since, values[i]);
  }
}

Resampled Resampler::finish() {
  for (Signal& signal : signals_) close(signal);
  out_.ticks = ticks_.size();
  const auto has_output = [&](std::size_t row) {
    return std::any_of(signals_.begin() + static_cast<std::ptrdiff_t>(inputs_), signals_.end(),
                       [&](const Signal& signal) { return !std::isnan(signal.by_tick[row]); });
  };
  std::size_t begin = 0;
  std::size_t end = ticks_.size();
  while (begin < end && !has_output(begin)) ++begin;
  while (begin < end && !has_output(end - 1)) --end;
  const auto rows = static_cast<Eigen::Index>(end - begin);
  Record& record = out_.record;
  record.tick.assign(ticks_.begin() + static_cast<std::ptrdiff_t>(begin),
                     ticks_.begin() + static_cast<std::ptrdiff_t>(end));
  record.u.resize(rows, static_cast<Eigen::Index>(inputs_));
  record.y.resize(rows, static_cast<Eigen::Index>(signals_.size() - inputs_));
  for (std::size_t i = 0; i < signals_.size(); ++i) {
    std::vector<double> values = std::exchange(signals_[i].by_tick, {});
    out_.values += static_cast<std::uint64_t>(
        std::count_if(values.begin(), values.end(), [](double value) { return !std::isnan(value); }));
    const Eigen::Map<const Eigen::VectorXd> part(values.data() + begin, rows);
    if (i < inputs_) {
      record.u.col(static_cast<Eigen::Index>(i)) = part;
    } else {
      record.y.col(static_cast<Eigen::Index>(i - inputs_)) = part;
    }
  }
  return std::move(out_);
}

}  // namespace twinkeeper::identification
