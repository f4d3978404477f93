#include "twinkeeper/model/discretise.hpp"

#include <cmath>

#include "model/balancing.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

}  // namespace

double root_as_power_of_two(double x) {
  int exponent = 0;
  (void)std::frexp(x, &exponent);  // √x lies between 2^((exponent − 1)/2) and 2^(exponent/2)
  return std::ldexp(1.0, static_cast<int>(std::floor(0.5 * exponent)));
}

VectorXd balancing(MatrixXd F) {
  const Index n = F.rows();
  VectorXd t = VectorXd::Ones(n);
  for (int sweep = 0; sweep < 100; ++sweep) {
    bool changed = false;
    for (Index i = 0; i < n; ++i) {
      const double row = F.row(i).lpNorm<1>() - std::abs(F(i, i));
      const double column = F.col(i).lpNorm<1>() - std::abs(F(i, i));
      if (row <= 0.0 || column <= 0.0) continue;
      const double factor = root_as_power_of_two(row / column);
      if (column * factor + row / factor >= 0.95 * (column + row)) continue;
      F.col(i) *= factor;
      F.row(i) /= factor;
      t(i) *= factor;
      changed = true;
    }
    if (!changed) break;
  }
  return t;
}

namespace {

struct Step {
  MatrixXd transition;  // e^{Fh}
  MatrixXd integral;    // ∫₀^h e^{Fs} ds
  MatrixXd noise;       // ∫₀^h e^{Fs} W e^{Fᵀs} ds
};

// Taylor series; |F| h ≤ 1/4 keeps every partial sum close to its limit.
Step short_step(const MatrixXd& F, const MatrixXd& W, double h) {
  constexpr int kTerms = 24;  // 0.25^24 / 24! and, for the noise, 0.5^24 / 24! are far below one unit in the last place
  const Index n = F.rows();
  Step step{MatrixXd::Identity(n, n), MatrixXd::Identity(n, n) * h, W * h};
  MatrixXd power = MatrixXd::Identity(n, n);
  MatrixXd noise_term = W * h;
  for (int k = 1; k <= kTerms; ++k) {
    power = (F * power).eval() * (h / k);
    step.transition += power;
    step.integral += power * (h / (k + 1));
    const MatrixXd product = F * noise_term;
    noise_term = (product + product.transpose()) * (h / (k + 1));
    step.noise += noise_term;
  }
  return step;
}

}  // namespace

Discretised discretise(const MatrixXd& F, const MatrixXd& G, const MatrixXd& W, const VectorXd& dx,
                       double sample_time) {
  const VectorXd t = balancing(F);
  const VectorXd t_inverse = t.cwiseInverse();
  const MatrixXd F_balanced = t_inverse.asDiagonal() * F * t.asDiagonal();
  const MatrixXd W_balanced = t_inverse.asDiagonal() * W * t_inverse.asDiagonal();

  const double size = F_balanced.cwiseAbs().rowwise().sum().maxCoeff() * sample_time;
  int doublings = 0;
  while (std::isfinite(size) && std::ldexp(size, -doublings) > 0.25) ++doublings;
  Step step = short_step(F_balanced, W_balanced, std::ldexp(sample_time, -doublings));
  for (int i = 0; i < doublings; ++i) {
    step.noise += (step.transition * step.noise * step.transition.transpose()).eval();
    step.integral += (step.transition * step.integral).eval();
    step.transition = (step.transition * step.transition).eval();
  }
  const MatrixXd integral = t.asDiagonal() * step.integral * t_inverse.asDiagonal();
  Discretised result;
  result.A = t.asDiagonal() * step.transition * t_inverse.asDiagonal();
  result.B = integral * G;
  result.Q = t.asDiagonal() * step.noise * t.asDiagonal();
  result.Q = (0.5 * (result.Q + result.Q.transpose())).eval();
  result.d = integral * dx;
  return result;
}

}  // namespace twinkeeper::model
