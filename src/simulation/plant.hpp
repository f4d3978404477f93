// The plant of one twin: its model, run with its own noise.
//
//   x(k+1) = x_op + A (x(k) − x_op) + B (u(k) − u_op) + d + δ Ts + w(k)      x(0) = initial, or x_op without one
//   y(k)   = y_op + C (x(k) − x_op) + D (u(k) − u_op) + φ v(k)               cov[w; v] = [Q S; Sᵀ R]
//
//   symbol  shape  unit       meaning
//   δ       n_x    state / s  disturbance faults, added to the derivative
//   φ       n_y    1          noise faults: 1 without one
//   w, v    …      …          seeded normal noise; drawn together at measure(k), w used by the advance that follows
//
// Between two steps u is held; a model with foh has its inputs run linearly to their next value (model/hold.hpp), so a
// staircase becomes a ramp over the step that ends with the new value.
//
// The plant of a nonlinear template, and of any template once a parameter has been changed, follows the equations
// instead:
//
//   ẋ = f(x, u)    y = h(x, u) + φ v         in kParts parts per step, each the exact solution of what is linear there;
//                                            δ Ts + w(k) at its end, cov[w] the Q of the operating point
//
// Errors: set_parameter() refuses what Dynamics refuses, and everything where the model is no template's or has foh.
// Edge rules: x is limited to the states' min … max after each step (foh: at the measure() that ends it, before which
// x() lacks what the new input adds); without inputs u is empty.
// Thread rule: one thread. Allocation: at construction and set_parameter() only.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <string_view>

#include "base/random.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/input_delay.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/model/step_exponential.hpp"

namespace twinkeeper::simulation {

class Plant {
 public:
  Plant(model::StateSpace model, base::Random random);

  [[nodiscard]] const Eigen::VectorXd& x() const { return x_; }
  // y(k) of the present state. Once per step, before advance().
  const Eigen::VectorXd& measure(const Eigen::VectorXd& u);
  const Eigen::VectorXd& measure(const Eigen::VectorXd& u, const Eigen::VectorXd& noise_factors);
  // On to x(k+1); `disturbance` in unit per second, n_x.
  void advance(const Eigen::VectorXd& disturbance);

  // From now on; `value` in the parameter's unit.
  [[nodiscard]] base::Status set_parameter(std::string_view name, double value);

  [[nodiscard]] const model::StateSpace& model() const { return model_; }

 private:
  void limit();
  void drive(const Eigen::VectorXd& u);
  void follow_equations();
  void find_deviation();

  model::StateSpace model_;  // with late inputs, if there are dead times of parts of a step
  model::InputDelay delay_;
  std::vector<double> told_, drive_;  // deviations: u as it is told, and as it reaches the machine
  base::Random random_;
  Eigen::MatrixXd noise_factor_;  // F Fᵀ = [Q S; Sᵀ R]
  Eigen::VectorXd white_, noise_, ones_, du_, dx_, x_, y_;
  bool between_ = false;                       // foh: advance() has been, measure() not yet
  std::unique_ptr<model::Dynamics> dynamics_;  // the equations to follow; null: the matrices
  model::StepExponential part_;
  Eigen::VectorXd f_, h_, u_;
  Eigen::MatrixXd F_, G_, C_, D_;
};

}  // namespace twinkeeper::simulation
