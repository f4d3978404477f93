#include "identification/trend.hpp"

#include <algorithm>
#include <cmath>

#include "identification/decompositions.hpp"
#include "identification/regression.hpp"

namespace twinkeeper::identification {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

std::vector<Trend> trends_of(const Experiments& experiments) {
  const Index p = experiments.front().y.rows();
  std::vector<Trend> out(static_cast<std::size_t>(p));
  const Index lags = lags_of_reference(experiments);
  const Normal normal = normal_equations(experiments, lags, lags, true);
  const Index width = normal.G.rows();
  const double freedom = normal.count - static_cast<double>(width);
  if (!(freedom > static_cast<double>(width))) return out;
  const MatrixXd inverse = solve_symmetric(normal.G, MatrixXd::Identity(width, width));
  const MatrixXd found = inverse * normal.right;
  const VectorXd d = found.row(width - 1).transpose();
  MatrixXd M = MatrixXd::Identity(p, p);
  for (Index i = 0; i < lags; ++i) M -= found.middleRows(i * p, p).transpose();
  const MatrixXd M_inverse = least_squares(M, MatrixXd::Identity(p, p));
  const VectorXd delta = M_inverse * d;
  VectorXd slope = VectorXd::Zero(width);  // of M δ by the numbers of an equation
  for (Index i = 0; i < lags; ++i) slope.segment(i * p, p) = delta;
  slope(width - 1) = 1.0;
  const double spread = slope.dot(inverse * slope);
  VectorXd variance(p);  // of e
  for (Index i = 0; i < p; ++i) {
    variance(i) = std::max(normal.squares(i) - found.col(i).dot(normal.right.col(i)), 0.0) / freedom;
  }
  for (Index i = 0; i < p; ++i) {
    Trend& one = out[static_cast<std::size_t>(i)];
    const double own = std::sqrt(variance(i) * inverse(width - 1, width - 1));
    const double std = std::sqrt(spread * M_inverse.row(i).cwiseAbs2().dot(variance.transpose()));
    one.change = 2.0 * delta(i);
    one.std = 2.0 * std;
    one.sure = std::isfinite(std) && std::abs(delta(i)) > kSurely * std && std::abs(d(i)) > kSurely * own;
  }
  return out;
}

}  // namespace twinkeeper::identification
