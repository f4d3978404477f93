#include "twinkeeper/estimation/start_estimator.hpp"

#include <cmath>

namespace twinkeeper::estimation {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

StartEstimator::StartEstimator(const model::StateSpace& model)
    : A_(model.A),
      B_(model.B),
      C_(model.C),
      D_(model.D),
      d_(model.d),
      weight_(model.R.diagonal().cwiseSqrt().cwiseInverse()),
      transition_(model.n_x(), model.n_x()),
      transition_next_(model.n_x(), model.n_x()),
      forced_(model.n_x()),
      forced_next_(model.n_x()),
      factor_(model.n_x(), model.n_x() + 1),
      row_(model.n_x() + 1),
      start_(model.n_x()),
      result_(model.n_x()) {
  restart();
}

void StartEstimator::restart() {
  transition_.setIdentity();
  forced_.setZero();
  factor_.setZero();
  steps_ = 0;
  values_ = 0;
}

void StartEstimator::add(std::span<const double> u, std::span<const double> y, std::span<const std::uint8_t> usable) {
  const Index n = A_.rows();
  for (Index i = 0; i < C_.rows(); ++i) {
    if (usable[static_cast<std::size_t>(i)] == 0) continue;
    double rest = y[static_cast<std::size_t>(i)];
    for (Index j = 0; j < n; ++j) rest -= C_(i, j) * forced_(j);
    for (Index j = 0; j < B_.cols(); ++j) rest -= D_(i, j) * u[static_cast<std::size_t>(j)];
    for (Index j = 0; j < n; ++j) row_(j) = C_.row(i).dot(transition_.col(j)) * weight_(i);
    row_(n) = rest * weight_(i);
    fold();
    ++values_;
  }
  transition_next_.noalias() = A_.lazyProduct(transition_);
  transition_.swap(transition_next_);
  forced_next_.noalias() = A_.lazyProduct(forced_);
  forced_next_ += d_;
  for (Index j = 0; j < B_.cols(); ++j) forced_next_ += B_.col(j) * u[static_cast<std::size_t>(j)];
  forced_.swap(forced_next_);
  ++steps_;
}

void StartEstimator::fold() {
  const Index n = A_.rows();
  for (Index j = 0; j < n; ++j) {
    if (row_(j) == 0.0) continue;
    const double length = std::hypot(factor_(j, j), row_(j));
    const double c = factor_(j, j) / length;
    const double s = row_(j) / length;
    for (Index k = j; k <= n; ++k) {
      const double upper = factor_(j, k);
      factor_(j, k) = c * upper + s * row_(k);
      row_(k) = c * row_(k) - s * upper;
    }
  }
}

const VectorXd& StartEstimator::estimate() {
  const Index n = A_.rows();
  double best = 0.0;
  for (Index j = 0; j < n; ++j) best = std::max(best, factor_.col(j).norm());
  const double ridge = best > 0.0 ? 1e-8 * best : 1.0;
  for (Index j = 0; j < n; ++j) {
    row_.setZero();
    row_(j) = ridge;
    fold();
  }
  for (Index j = n - 1; j >= 0; --j) {
    double value = factor_(j, n);
    for (Index k = j + 1; k < n; ++k) value -= factor_(j, k) * start_(k);
    start_(j) = value / factor_(j, j);
  }
  result_.noalias() = transition_.lazyProduct(start_);
  result_ += forced_;
  return result_;
}

}  // namespace twinkeeper::estimation
