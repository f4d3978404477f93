#include "model/equilibrium.hpp"

#include <Eigen/LU>
#include <cmath>

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

std::optional<VectorXd> equilibrium(const Dynamics& dynamics, const VectorXd& u, const VectorXd& guess) {
  constexpr int kMostSteps = 200;
  constexpr int kMostHalvings = 40;
  constexpr double kSettled = 1e-12;  // step relative to the size of x
  const Index n = dynamics.n_x();
  VectorXd x = guess;
  VectorXd f(n), f_next(n);
  MatrixXd F(n, n), G(n, dynamics.n_u()), unused(n, n);
  dynamics.evaluate(x, u, f, F, G);
  for (int i = 0; i < kMostSteps; ++i) {
    const Eigen::FullPivLU<MatrixXd> lu(F);
    if (!lu.isInvertible()) return std::nullopt;
    const VectorXd step = lu.solve(f);
    if (!step.allFinite()) return std::nullopt;
    if (step.norm() <= kSettled * (1e-3 + x.norm())) return VectorXd(x - step);
    // Progress is judged in the states' own units: by how far the solution seems to be away.
    double share = 1.0;
    bool better = false;
    for (int k = 0; k < kMostHalvings && !better; ++k, share *= 0.5) {
      const VectorXd x_next = x - share * step;
      dynamics.evaluate(x_next, u, f_next, unused, G);
      better = f_next.allFinite() && lu.solve(f_next).norm() < step.norm();
      if (better) x = x_next;
    }
    if (!better) return step.norm() <= 1e-9 * (1e-3 + x.norm()) ? std::optional(x) : std::nullopt;
    dynamics.evaluate(x, u, f, F, G);
  }
  return std::nullopt;
}

}  // namespace twinkeeper::model
