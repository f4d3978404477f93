#include "twinkeeper/estimation/step_linearisation.hpp"

#include <algorithm>

#include "estimation/decorrelation.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"

namespace twinkeeper::estimation {

using Eigen::Index;

StepLinearisation::StepLinearisation(const model::StateSpace& model)
    : dynamics_(model.dynamics->clone()),
      x_op_(model.x_op),
      u_op_(model.u_op),
      y_op_(model.y_op),
      x_(model.x_op),
      u_(model.u_op),
      f_(model.x_op),
      h_(model.y_op),
      moved_(model.x_op),
      F_(model.A),
      G_(model.B),
      C_(model.C),
      D_(model.D),
      root_(model.Q),
      scratch_(static_cast<std::size_t>(3 * model.n_x())) {
  dynamics_->evaluate(x_, u_, f_, F_, G_);
  exponential_ = model::StepExponential(F_, model.W, model.sample_time);
}

void StepLinearisation::start(const FilterArrays& arrays) {
  if (running_) return;
  usual_A_ = arrays.A;
  usual_C_ = arrays.C;
  usual_Q_root_ = arrays.Q_root;
  running_ = true;
}

void StepLinearisation::stop(FilterArrays& arrays) {
  running_ = false;
  std::copy(usual_A_.begin(), usual_A_.end(), arrays.A.begin());
  std::copy(usual_C_.begin(), usual_C_.end(), arrays.C.begin());
  std::copy(usual_Q_root_.begin(), usual_Q_root_.end(), arrays.Q_root.begin());
}

void StepLinearisation::take_point(const double* x, std::span<const double> u) {
  for (Index i = 0; i < x_.size(); ++i) x_(i) = x_op_(i) + x[i];
  for (Index i = 0; i < u_.size(); ++i) u_(i) = u_op_(i) + u[static_cast<std::size_t>(i)];
}

void StepLinearisation::observe(FilterArrays& arrays, std::span<const double> u) {
  take_point(arrays.x_prior.data(), u);
  dynamics_->observe(x_, u_, h_, C_, D_);
  for (Index j = 0; j < C_.cols(); ++j) {
    for (Index i = 0; i < C_.rows(); ++i) arrays.C[static_cast<std::size_t>(j * arrays.pp + i)] = C_(i, j);
  }
}

void StepLinearisation::put_expected(FilterArrays& arrays) const {
  for (Index i = 0; i < h_.size(); ++i) arrays.expected[static_cast<std::size_t>(i)] = h_(i) - y_op_(i);
}

void StepLinearisation::advance(FilterArrays& arrays, std::span<const double> u) {
  take_point(arrays.z.data(), u);
  dynamics_->evaluate(x_, u_, f_, F_, G_);
  exponential_.compute(F_);
  pivoted_root(exponential_.Q(), root_, scratch_.data());
  const Index n = x_.size();
  for (Index i = 0; i < n; ++i) moved_(i) = arrays.z[static_cast<std::size_t>(i)];
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(j * arrays.np + i);
      arrays.A[at] = exponential_.A()(i, j);
      arrays.Q_root[at] = root_(i, j);
      moved_(i) += exponential_.gamma()(i, j) * f_(j);
    }
  }
}

bool StepLinearisation::put_prediction(FilterArrays& arrays) const {
  double probe = 0.0;
  for (Index i = 0; i < moved_.size(); ++i) {
    arrays.x_next[static_cast<std::size_t>(i)] = moved_(i);
    probe += moved_(i) * 0.0;
  }
  return probe == 0.0;
}

}  // namespace twinkeeper::estimation
