// Nonlinear least squares within bounds, for a few parameters and residuals that are dear to compute.
//
//   min |r(θ)|²     low ≤ θ ≤ high     z = ln θ of parameters that are positive by nature, θ / unit of the others
//
// Steps after Levenberg and Marquardt in z: (H + λ diag H) Δz = −Jᵀ r with H = Jᵀ J, J by differences. Each Δz is at
// most kLongestStep and is cut at the bounds; a parameter that stands at a bound and would leave is held for the step.
// It ends when a step gains less than `converged` of the cost. A parameter with low = high is not moved.
// Where the data leave a direction open, the damping keeps it where it is.
// Errors: none; nothing if there are no residuals at the start. Thread rule: `residuals` is called through `for_each`
// from several threads at once if that does so; the result does not depend on it. Allocates.
// Source: Marquardt (1963); Moré, The Levenberg–Marquardt algorithm: implementation and theory (1978) for the scaling.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::identification {

inline constexpr double kLongestStep = 0.7;  // of z: a factor of two, or that part of the unit

using ForEach = std::function<void(std::size_t count, const std::function<void(std::size_t)>& job)>;

struct FreeParameter {
  std::string name;
  double start = 0.0, low = 0.0, high = 0.0;  // low and high may be infinite
  bool logarithmic = false;
  double unit = 1.0;  // of one that is not
};

// A difference that is sought from `base`, with the residuals there: only what `parameter` moves has to be computed.
struct MovedFrom {
  Eigen::Index parameter;
  const Eigen::VectorXd& residuals;
};
// r(θ); nothing where θ makes no sense. `moved` may be null.
using Residuals = std::function<std::optional<Eigen::VectorXd>(const Eigen::VectorXd& theta, const MovedFrom* moved)>;

struct LeastSquaresSettings {
  int steps = 100;
  double converged = 1e-6;
  ForEach for_each = {};                                    // absent: one after the other
  std::function<void(int step, double cost)> on_step = {};  // may be absent
};

struct LeastSquares {
  Eigen::VectorXd theta, residuals;
  Eigen::MatrixXd slopes, fine_slopes;  // ∂r/∂z there, by wide differences and by small ones
  std::vector<int> bound;               // by parameter: −1 at low, 1 at high, else 0
  double cost = 0.0;
  int steps = 0;
};

[[nodiscard]] std::optional<LeastSquares> bounded_least_squares(const std::vector<FreeParameter>& parameters,
                                                                const Residuals& residuals,
                                                                const LeastSquaresSettings& settings);

}  // namespace twinkeeper::identification
