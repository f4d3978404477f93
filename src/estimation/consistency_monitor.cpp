#include "twinkeeper/estimation/consistency_monitor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace twinkeeper::estimation {
namespace {

constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();
constexpr double kOnceInAMillion = 4.753424308822899;  // Φ(−z) = 10⁻⁶

bool counts(Mode mode) { return mode != Mode::initializing && mode != Mode::lost; }

}  // namespace

double chi_square_quantile(std::int64_t dof, double z) {
  const double n = static_cast<double>(dof);
  const double root = std::max(0.0, 1.0 - 2.0 / (9.0 * n) + z * std::sqrt(2.0 / (9.0 * n)));
  return n * root * root * root;
}

void ConsistencyMonitor::Sums::add(const Sums& other) {
  nis += other.nis;
  dof += other.dof;
  rows += other.rows;
  rejected += other.rejected;
}

ConsistencyMonitor::ConsistencyMonitor(std::size_t n_y)
    : products_(n_y * kBlocks, 0.0), squares_(n_y * kBlocks, 0.0), previous_(n_y, kNotKnown) {}

void ConsistencyMonitor::take(const TwinStep& step) {
  Sums sums;
  const std::size_t n_y = previous_.size();
  const bool usable = counts(step.mode);
  if (usable && step.nis_dof > 0) {
    sums.nis = step.nis;
    sums.dof = step.nis_dof;
  }
  if (in_block_ == 0) {
    blocks_[block_] = {};
    std::fill_n(products_.begin() + static_cast<std::ptrdiff_t>(block_ * n_y), n_y, 0.0);
    std::fill_n(squares_.begin() + static_cast<std::ptrdiff_t>(block_ * n_y), n_y, 0.0);
  }
  for (std::size_t i = 0; i < n_y; ++i) {
    const OutputStep& row = step.outputs[i];
    // A ratio is told of every good row, rejected ones included.
    const bool good = usable && !std::isnan(row.test_ratio);
    const double z = good ? row.innovation / row.std : kNotKnown;
    if (good) {
      ++sums.rows;
      if (!row.fused) ++sums.rejected;
      squares_[block_ * n_y + i] += z * z;
      if (!std::isnan(previous_[i])) products_[block_ * n_y + i] += z * previous_[i];
    }
    previous_[i] = z;
  }
  steps_[step_] = sums;
  step_ = (step_ + 1) % kSteps;
  blocks_[block_].add(sums);
  if (++in_block_ < kSteps) return;
  in_block_ = 0;
  block_ = (block_ + 1) % kBlocks;
}

ConsistencyWindow ConsistencyMonitor::window_of(const Sums& sums) {
  if (sums.dof == 0) return {kNotKnown, kNotKnown, kNotKnown, kNotKnown};
  const auto dof = static_cast<double>(sums.dof);
  return {sums.nis / dof, chi_square_quantile(sums.dof, -kOnceInAMillion) / dof,
          chi_square_quantile(sums.dof, kOnceInAMillion) / dof,
          sums.rows > 0 ? static_cast<double>(sums.rejected) / static_cast<double>(sums.rows) : kNotKnown};
}

Consistency ConsistencyMonitor::read() const {
  Sums few, many;
  for (const Sums& sums : steps_) few.add(sums);
  for (const Sums& sums : blocks_) many.add(sums);
  Consistency out{window_of(few), window_of(many), kNotKnown};
  const std::size_t n_y = previous_.size();
  for (std::size_t i = 0; i < n_y; ++i) {
    double product = 0.0;
    double square = 0.0;
    for (std::size_t b = 0; b < kBlocks; ++b) {
      product += products_[b * n_y + i];
      square += squares_[b * n_y + i];
    }
    if (square <= 0.0) continue;
    const double r1 = product / square;
    if (std::isnan(out.autocorrelation) || std::abs(r1) > std::abs(out.autocorrelation)) out.autocorrelation = r1;
  }
  return out;
}

}  // namespace twinkeeper::estimation
