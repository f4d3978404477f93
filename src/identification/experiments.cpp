#include "identification/experiments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/formatted.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

// Signals by tick; NaN: missing. Inputs stand above outputs.
MatrixXd grid_of(const Record& record, std::size_t begin, std::size_t end) {
  const Index m = record.u.cols();
  const Index p = record.y.cols();
  const Index count = static_cast<Index>(record.tick[end - 1] - record.tick[begin]) + 1;
  MatrixXd grid = MatrixXd::Constant(m + p, count, std::numeric_limits<double>::quiet_NaN());
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(p);
  Eigen::VectorXd values = Eigen::VectorXd::Zero(p);
  for (std::size_t row = begin; row < end; ++row) {
    const auto at = static_cast<Index>(record.tick[row] - record.tick[begin]);
    const auto source = static_cast<Index>(row);
    if (row > begin && record.tick[row] != record.tick[row - 1]) {
      sum.setZero();
      values.setZero();
    }
    for (Index i = 0; i < m; ++i) {
      if (!std::isnan(record.u(source, i))) grid(i, at) = record.u(source, i);
    }
    for (Index i = 0; i < p; ++i) {
      if (std::isnan(record.y(source, i))) continue;
      sum(i) += record.y(source, i);
      values(i) += 1.0;
      grid(m + i, at) = sum(i) / values(i);
    }
  }
  return grid;
}

// Which ticks of a grid stand in no run of missing values that is too long to be filled, or is open at an end.
std::vector<bool> usable(const MatrixXd& grid) {
  std::vector<bool> good(static_cast<std::size_t>(grid.cols()), true);
  for (Index i = 0; i < grid.rows(); ++i) {
    for (Index k = 0; k < grid.cols();) {
      Index end = k;
      while (end < grid.cols() && std::isnan(grid(i, end))) ++end;
      if (end - k > kLongestGap || (end > k && (k == 0 || end == grid.cols()))) {
        std::fill(good.begin() + k, good.begin() + end, false);
      }
      k = end + 1;
    }
  }
  return good;
}

struct Filled {
  std::vector<double> by_signal;
  double ticks = 0.0;
};

Experiment fill(const MatrixXd& part, Index inputs, Filled& filled) {
  Experiment out;
  MatrixXd values = part;
  for (Index i = 0; i < part.rows(); ++i) {
    for (Index k = 0; k < part.cols(); ++k) {
      if (!std::isnan(part(i, k))) continue;
      filled.by_signal[static_cast<std::size_t>(i)] += 1.0;
      // The ends of a part may be missing where another signal ended the stretch before.
      Index next = k;
      while (next < part.cols() && std::isnan(part(i, next))) ++next;
      const bool has_next = next < part.cols();
      if (k == 0) {
        values(i, k) = part(i, next);
      } else if (i < inputs || !has_next) {
        values(i, k) = values(i, k - 1);
      } else {
        values(i, k) = values(i, k - 1) + (part(i, next) - values(i, k - 1)) / static_cast<double>(next - k + 1);
      }
    }
  }
  out.u = values.topRows(inputs);
  out.y = values.bottomRows(part.rows() - inputs);
  for (Index k = 0; k < part.cols(); ++k) {
    for (Index i = inputs; i < part.rows(); ++i) {
      if (std::isnan(part(i, k))) out.missing.emplace_back(i - inputs, k);
    }
  }
  filled.ticks += static_cast<double>(part.cols());
  return out;
}

std::string percents(double part) { return base::formatted("%.0f %%", 100.0 * part); }

void cut_grid(const MatrixXd& grid, Index inputs, Cut& out, Filled& filled) {
  const std::vector<bool> good = usable(grid);
  out.ticks += grid.cols();
  for (Index k = 0; k < grid.cols();) {
    Index end = k;
    while (end < grid.cols() && good[static_cast<std::size_t>(end)]) ++end;
    const Index count = end - k;
    const bool known = count >= kShortestExperiment &&
                       (grid.middleCols(k, count).array() == grid.middleCols(k, count).array()).rowwise().any().all();
    if (known) {
      out.experiments.push_back(fill(grid.middleCols(k, count), inputs, filled));
    } else {
      out.ticks_lost += count;
    }
    k = end;
    while (k < grid.cols() && !good[static_cast<std::size_t>(k)]) {
      ++k;
      ++out.ticks_lost;
    }
  }
}

}  // namespace

Index ticks_in(const Experiments& experiments) {
  Index count = 0;
  for (const auto& experiment : experiments) count += experiment.count();
  return count;
}

base::Result<Cut> cut_into_experiments(const Record& record, const std::vector<std::string>& inputs,
                                       const std::vector<std::string>& outputs) {
  Cut out;
  Filled filled;
  filled.by_signal.assign(inputs.size() + outputs.size(), 0.0);
  std::size_t begin = 0;
  for (std::size_t row = 1; row <= record.tick.size(); ++row) {
    if (row < record.tick.size() && record.tick[row] - record.tick[row - 1] <= kLongestGap + 1) continue;
    cut_grid(grid_of(record, begin, row), record.u.cols(), out, filled);
    begin = row;
  }
  std::string faults;
  for (std::size_t i = 0; i < filled.by_signal.size() && filled.ticks > 0.0; ++i) {
    const double part = filled.by_signal[i] / filled.ticks;
    out.filled = std::max(out.filled, part);
    if (part <= kMostMissing) continue;
    const std::string& name = i < inputs.size() ? inputs[i] : outputs[i - inputs.size()];
    faults += (faults.empty() ? "" : ", ") + name + " lacks " + percents(part) + " of its samples";
  }
  if (!faults.empty()) {
    return base::Error(base::ErrorCode::corrupt, faults + "; accepted: at most " + percents(kMostMissing) +
                                                     ", gaps of more than " + std::to_string(kLongestGap) +
                                                     " samples left out");
  }
  if (out.experiments.empty()) {
    return base::Error(base::ErrorCode::corrupt, "no stretch of " + std::to_string(kShortestExperiment) +
                                                     " samples has all signals; accepted: one at least");
  }
  return out;
}

Experiments slice(const Experiments& experiments, Index begin, Index end) {
  Experiments out;
  Index first = 0;
  for (const auto& whole : experiments) {
    const Index from = std::max<Index>(begin - first, 0);
    const Index to = std::min(end - first, whole.count());
    if (to - from >= std::min(kShortestExperiment, whole.count())) {
      Experiment part;
      part.u = whole.u.middleCols(from, to - from);
      part.y = whole.y.middleCols(from, to - from);
      for (const auto& cell : whole.missing) {
        if (cell.second >= from && cell.second < to) part.missing.emplace_back(cell.first, cell.second - from);
      }
      out.push_back(std::move(part));
    }
    first += whole.count();
  }
  return out;
}

}  // namespace twinkeeper::identification
