#include "identification/autoregression.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/decompositions.hpp"
#include "identification/regression.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kUnitRoot = 14.0;  // ρ
constexpr Index kDifferences = 2;

// One equation: the numbers of the regressors that are worth their place; those of the others are 0.
struct Equation {
  MatrixXd inverse;  // of the regressors' Gram matrix
  VectorXd numbers;
  double squares = 0.0;  // of what is left
  std::vector<Index> active;

  void drop(std::size_t which) {
    const Index j = active[which];
    const VectorXd column = inverse.col(j) / inverse(j, j);
    squares += numbers(j) * numbers(j) / inverse(j, j);
    numbers -= numbers(j) * column;
    inverse -= column * inverse.row(j);
    active.erase(active.begin() + static_cast<std::ptrdiff_t>(which));
    numbers(j) = 0.0;
  }

  void prune(double count, Index kept) {
    const double least = base::log(count);
    while (active.size() > 1) {
      std::size_t weakest = active.size();
      double t_square = least;
      const double variance = squares / std::max(count - static_cast<double>(active.size()), 1.0);
      for (std::size_t k = 0; k < active.size(); ++k) {
        const Index j = active[k];
        if (j == kept) continue;
        const double one = numbers(j) * numbers(j) / std::max(inverse(j, j) * variance, 1e-300);
        if (one >= t_square) continue;
        t_square = one;
        weakest = k;
      }
      if (weakest == active.size()) return;
      drop(weakest);
    }
  }
};

}  // namespace

bool level_known(const std::vector<double>& values) {
  constexpr Index kWidth = 2 + kDifferences;
  MatrixXd G = MatrixXd::Zero(kWidth, kWidth);
  VectorXd right = VectorXd::Zero(kWidth);
  VectorXd row(kWidth);
  double count = 0.0;
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (std::isnan(values[k])) continue;
    count += 1.0;
    if (k < 1 + kDifferences) continue;
    row << 1.0, values[k - 1] - values[0], values[k - 1] - values[k - 2], values[k - 2] - values[k - 3];
    const double change = values[k] - values[k - 1];
    if (!row.allFinite() || !std::isfinite(change)) continue;
    G += row * row.transpose();
    right += row * change;
  }
  const VectorXd unit = G.diagonal().cwiseMax(1e-300).cwiseSqrt().cwiseInverse();
  MatrixXd scaled = unit.asDiagonal() * G * unit.asDiagonal();
  scaled.diagonal().array() += 1e-10;
  const VectorXd found = unit.asDiagonal() * solve_symmetric(scaled, unit.asDiagonal() * right);
  return -found(1) * count > kUnitRoot * (1.0 - found.tail(kDifferences).sum());
}

std::vector<bool> levels_known(const Experiments& experiments) {
  std::vector<bool> known;
  for (Index i = 0; i < experiments.front().y.rows(); ++i) {
    std::vector<double> values;
    for (const Experiment& e : experiments) {
      for (Index k = 0; k < e.count(); ++k) values.push_back(e.y(i, k));
      values.push_back(std::numeric_limits<double>::quiet_NaN());
    }
    known.push_back(level_known(values));
  }
  return known;
}

LinearModel autoregression(const Experiments& experiments, Index order, double cap) {
  const Index p = experiments.front().y.rows();
  const std::vector<bool> known = levels_known(experiments);
  std::vector<Index> used;  // regressors
  for (Index j = 0; j < order * p; ++j) {
    if (known[static_cast<std::size_t>(j % p)]) used.push_back(j);
  }
  const Normal normal = normal_equations(experiments, order, 0);
  MatrixXd found = MatrixXd::Zero(p, order * p);
  MatrixXd inverse;
  MatrixXd first;
  if (!used.empty()) {
    const auto count = static_cast<Index>(used.size());
    inverse = solve_symmetric(normal.G(used, used), MatrixXd::Identity(count, count));
    first = inverse * normal.right(used, Eigen::all);
  }
  for (Index i = 0; i < p; ++i) {
    if (!known[static_cast<std::size_t>(i)]) {
      found(i, i) = 1.0;
      continue;
    }
    Equation equation{inverse, first.col(i), 0.0, {}};
    Index own = 0;
    for (std::size_t k = 0; k < used.size(); ++k) {
      equation.active.push_back(static_cast<Index>(k));
      if (used[k] == i) own = static_cast<Index>(k);
    }
    equation.squares = std::max(normal.squares(i) - first.col(i).dot(VectorXd(normal.right(used, i))), 0.0);
    equation.prune(normal.count, own);
    for (const Index k : equation.active) found(i, used[static_cast<std::size_t>(k)]) = equation.numbers(k);
  }
  return observer_form(found, MatrixXd::Zero(p, 0), order, cap).model;
}

}  // namespace twinkeeper::identification
