#include "identification/dead_time.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "identification/decompositions.hpp"
#include "identification/regression.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::identification {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr Index kPast = 4;
constexpr double kSignificant = 3.5;  // of one tap, standard deviations on either side
constexpr double kJointly = 3.31;     // the same probability on one side, for a χ²

// Of least squares: a column for each output.
struct Taps {
  const MatrixXd& values;
  const MatrixXd& inverse;  // of the regressors' products
  VectorXd variance;        // of what is left of each output

  // Whether input `j` of `m` is answered otherwise by the `delay` taps before its answer seems to begin than by as many
  // after it: each by itself, or their sum, which an input that moves seldom tells much better than it tells one of them.
  [[nodiscard]] bool change_at(Index delay, Index j, Index m) const {
    const Index taps = (values.rows() - kPast * values.cols()) / m;
    const Index count = std::min(delay, taps - delay);
    const auto after = [&](Index k) { return kPast * values.cols() + (delay + k) * m + j; };
    const auto before = [&](Index k) { return after(-1 - k); };
    MatrixXd changes(count, values.cols());
    MatrixXd covariance(count, count);  // of each column, by `variance`
    for (Index k = 0; k < count; ++k) {
      changes.row(k) = values.row(after(k)) - values.row(before(k));
      for (Index l = 0; l < count; ++l) {
        covariance(k, l) = inverse(after(k), after(l)) + inverse(before(k), before(l)) - inverse(after(k), before(l)) -
                           inverse(before(k), after(l));
      }
    }
    const MatrixXd weighted = solve_symmetric(covariance, changes);
    const double limit = estimation::chi_square_quantile(count, kJointly);
    for (Index i = 0; i < values.cols(); ++i) {
      const double sum = changes.col(i).sum();
      if (changes.col(i).dot(weighted.col(i)) > limit * variance(i)) return true;
      if (sum * sum > kSignificant * kSignificant * covariance.sum() * variance(i)) return true;
    }
    return false;
  }
};

}  // namespace

std::vector<Index> dead_times(const Experiments& experiments) {
  const Index m = experiments.front().u.rows();
  const Index p = experiments.front().y.rows();
  std::vector<Index> out(static_cast<std::size_t>(m), 0);
  if (m == 0) return out;
  Index taps = kLongestDelay;
  while (taps >= 8 && 4 * (kPast * p + (taps + 1) * m) > ticks_in(experiments)) taps -= 4;
  if (taps < 8) return out;
  const Normal normal = normal_equations(experiments, kPast, taps);
  const Index width = normal.G.rows();
  const MatrixXd inverse = solve_symmetric(normal.G, MatrixXd::Identity(width, width));
  const MatrixXd found = inverse * normal.right;
  const double freedom = normal.count - static_cast<double>(width);
  const VectorXd left = normal.squares - (found.array() * normal.right.array()).colwise().sum().transpose().matrix();
  const Taps all{found, inverse, left.cwiseMax(0.0) / freedom};
  for (Index j = 0; j < m; ++j) {
    Index first = taps + 1;
    for (Index i = 0; i < p; ++i) {
      for (Index k = 0; k < first; ++k) {
        const Index at = kPast * p + k * m + j;
        const double variance = all.variance(i) * std::max(inverse(at, at), 0.0);
        if (std::abs(found(at, i)) > kSignificant * std::sqrt(variance)) first = k;
      }
    }
    if (first > taps) first = 0;
    if (first > 0 && !all.change_at(first, j, m)) first = 0;
    out[static_cast<std::size_t>(j)] = first;
  }
  return out;
}

Experiments without_dead_times(const Experiments& experiments, const std::vector<Index>& delays) {
  const Index longest = delays.empty() ? 0 : *std::max_element(delays.begin(), delays.end());
  if (longest == 0) return experiments;
  Experiments out;
  for (const auto& e : experiments) {
    const Index count = e.count() - longest;
    if (count < kShortestExperiment) continue;
    Experiment moved;
    moved.y = e.y.rightCols(count);
    moved.u.resize(e.u.rows(), count);
    for (Index j = 0; j < e.u.rows(); ++j) {
      moved.u.row(j) = e.u.row(j).segment(longest - delays[static_cast<std::size_t>(j)], count);
    }
    for (const auto& cell : e.missing) {
      if (cell.second >= longest) moved.missing.emplace_back(cell.first, cell.second - longest);
    }
    out.push_back(std::move(moved));
  }
  return out;
}

void add_waiting_states(Identified& model) {
  Index more = 0;
  for (const Index delay : model.delays) more += delay;
  if (more == 0) return;
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  const auto grow = [&](MatrixXd& matrix, Index rows, Index columns) {
    MatrixXd larger = MatrixXd::Zero(rows, columns);
    larger.topLeftCorner(matrix.rows(), matrix.cols()) = matrix;
    matrix = std::move(larger);
  };
  grow(model.A, n + more, n + more);
  grow(model.B, n + more, model.B.cols());
  grow(model.C, p, n + more);
  grow(model.K, n + more, p);
  grow(model.Q, n + more, n + more);
  grow(model.S, n + more, p);
  Index at = n;
  for (std::size_t j = 0; j < model.delays.size(); ++j) {
    const Index delay = model.delays[j];
    if (delay == 0) continue;
    const auto input = static_cast<Index>(j);
    const Index last = at + delay - 1;
    model.A.block(0, last, n, 1) = model.B.col(input).head(n);
    model.C.col(last) = model.D.col(input);
    model.B.col(input).setZero();
    model.D.col(input).setZero();
    model.B(at, input) = 1.0;
    for (Index k = at; k < last; ++k) model.A(k + 1, k) = 1.0;
    at += delay;
  }
}

WarmStart without_waiting_states(const model::StateSpace& model, const MatrixXd& K, std::vector<Index> delays) {
  WarmStart out{model.A, model.B, model.C, model.D, K, model.u_op, model.y_op, {}};
  const Index waiting = std::accumulate(delays.begin(), delays.end(), Index{0});
  const Index n = model.n_x() - waiting;
  if (waiting == 0 || n < 1) {
    out.delays.assign(delays.size(), 0);
    return out;
  }
  out.A = model.A.topLeftCorner(n, n);
  out.B = model.B.topRows(n);
  out.C = model.C.leftCols(n);
  out.K = K.topRows(n);
  Index at = n;
  for (std::size_t j = 0; j < delays.size(); ++j) {
    if (delays[j] == 0) continue;
    const auto input = static_cast<Index>(j);
    const Index last = at + delays[j] - 1;  // of its chain: the late input
    out.B.col(input) = model.A.block(0, last, n, 1);
    out.D.col(input) = model.C.col(last);
    at += delays[j];
  }
  out.delays = std::move(delays);
  return out;
}

}  // namespace twinkeeper::identification
