// Models by linear regression on past samples: ARX, which without inputs is a vector autoregression, and dead times.
//
//   y(k) = Σ_{i=1…N} A_i y(k−i) + Σ_{i=0…N} B_i u(k−i) + e(k)
//
// As a state-space model in observer form it has N n_y states, and K = [A_1; …; A_N]. Where its poles lie beyond `cap`
// they are all drawn in by one factor γ: A_i becomes γⁱ A_i. Samples that were filled count as any other.
// Thread rule: pure functions. Allocates. Source: Ljung, System Identification (1999), §4.2 and §10.1.
#pragma once

#include <vector>

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

struct Regression {
  LinearModel model;
  double radius = 0.0;  // of the poles as they were found, before `cap`
};
struct Normal {
  Eigen::MatrixXd G;        // regressors × regressors
  Eigen::MatrixXd right;    // regressors × n_y
  Eigen::VectorXd squares;  // of y
  double count = 0.0;       // ticks
};
// Regressors: y(k−1) … y(k−outputs), u(k) … u(k−inputs), with `line` 1 and what goes from −1 to 1 over all ticks.
[[nodiscard]] Normal normal_equations(const Experiments& experiments, Eigen::Index outputs, Eigen::Index inputs,
                                      bool line = false);
// Of [A_1 … A_N] and [B_0 … B_N].
[[nodiscard]] Regression observer_form(const Eigen::MatrixXd& of_outputs, const Eigen::MatrixXd& of_inputs,
                                       Eigen::Index order, double cap);
[[nodiscard]] Regression arx(const Experiments& experiments, Eigen::Index order, double cap);

// What other models stand beside: ARX of ten lags, or half as many as long as ten samples to a parameter ask for it.
[[nodiscard]] Eigen::Index lags_of_reference(const Experiments& experiments);
[[nodiscard]] LinearModel reference_of_lags(const Experiments& experiments, double cap);

}  // namespace twinkeeper::identification
