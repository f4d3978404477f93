#include "twinkeeper/model/step_exponential.hpp"

#include <cmath>

#include "model/balancing.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

constexpr int kTerms = 24;  // 0.25^24 / 24! and, for the noise, 0.5^24 / 24! are far below one unit in the last place

void multiply(const MatrixXd& left, const MatrixXd& right, MatrixXd& out) {
  const Index n = left.rows();
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) out(i, j) = 0.0;
    for (Index k = 0; k < n; ++k) {
      const double value = right(k, j);
      for (Index i = 0; i < n; ++i) out(i, j) += left(i, k) * value;
    }
  }
}

// out = left rightᵀ
void multiply_transposed(const MatrixXd& left, const MatrixXd& right, MatrixXd& out) {
  const Index n = left.rows();
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) out(i, j) = 0.0;
    for (Index k = 0; k < n; ++k) {
      const double value = right(j, k);
      for (Index i = 0; i < n; ++i) out(i, j) += left(i, k) * value;
    }
  }
}

}  // namespace

StepExponential::StepExponential(const MatrixXd& typical_F, const MatrixXd& W, double sample_time)
    : sample_time_(sample_time), t_(balancing(typical_F)), F_(typical_F), W_(W) {
  const Index n = F_.rows();
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) W_(i, j) = W(i, j) / t_(i) / t_(j);
  }
  A_ = gamma_ = Q_ = power_ = product_ = term_ = MatrixXd::Zero(n, n);
}

void StepExponential::compute(const MatrixXd& F, bool with_noise) {
  const Index n = F_.rows();
  double size = 0.0;
  for (Index i = 0; i < n; ++i) {
    double row = 0.0;
    for (Index j = 0; j < n; ++j) {
      F_(i, j) = F(i, j) * t_(j) / t_(i);
      row += std::fabs(F_(i, j));
    }
    size = row * sample_time_ > size ? row * sample_time_ : size;
  }
  int doublings = 0;
  double h = sample_time_;
  for (; size > 0.25 && std::isfinite(size); ++doublings) {  // keeps every partial sum close to its limit
    size *= 0.5;
    h *= 0.5;
  }
  A_.setIdentity();
  power_.setIdentity();
  gamma_.setZero();
  for (Index i = 0; i < n; ++i) gamma_(i, i) = h;
  if (with_noise) {
    Q_ = W_;
    Q_ *= h;
    term_ = Q_;
  }
  for (int k = 1; k <= kTerms; ++k) {
    multiply(F_, power_, product_);
    const double factor = h / k;
    const double next = h / (k + 1);
    for (Index i = 0; i < n * n; ++i) {
      const double value = product_.data()[i] * factor;
      power_.data()[i] = value;
      A_.data()[i] += value;
      gamma_.data()[i] += value * next;
    }
    if (!with_noise) continue;
    multiply(F_, term_, product_);
    for (Index j = 0; j < n; ++j) {
      for (Index i = 0; i < n; ++i) {
        term_(i, j) = (product_(i, j) + product_(j, i)) * next;
        Q_(i, j) += term_(i, j);
      }
    }
  }
  for (int i = 0; i < doublings; ++i) {
    if (with_noise) {
      multiply(A_, Q_, product_);
      multiply_transposed(product_, A_, term_);
      Q_ += term_;
    }
    multiply(A_, gamma_, product_);
    gamma_ += product_;
    multiply(A_, A_, product_);
    A_.swap(product_);
  }
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < n; ++i) {
      const double ratio = t_(i) / t_(j);
      A_(i, j) *= ratio;
      gamma_(i, j) *= ratio;
    }
  }
  if (!with_noise) return;
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i <= j; ++i) {
      const double value = 0.5 * (Q_(i, j) + Q_(j, i)) * t_(i) * t_(j);
      Q_(i, j) = value;
      Q_(j, i) = value;
    }
  }
}

}  // namespace twinkeeper::model
