// The equations of a template with its parameters, and their derivatives.
//
//   ẋ = f(x, u, θ)      F = ∂f/∂x      G = ∂f/∂u
//   y = h(x, u, θ)      C = ∂h/∂x      D = ∂h/∂u
//
//   symbol  shape      unit             meaning
//   x, u    n_x, n_u   of the signals   absolute, not deviations
//   θ       –          own unit each    parameters, by name
//   f       n_x        state / s
//   h       n_y        output           only the outputs the model has, in its order
//   F G C D …          –                exact Jacobians, of the branch that holds at (x, u)
//
// Edge rules: finite for every finite x and u: square roots are replaced by the chord from 0 below a small argument
// that the template names, so no Jacobian is infinite. Where two branches meet, f and h are continuous, F and C need
// not be. D has the same zeros everywhere. Errors: set_parameter() refuses what the template's table refuses. Thread
// rule: const members are pure, but the equations of an augmented model have a workspace, so each thread needs its own
// clone(); set_parameter() needs the object for itself. Allocation: evaluate() and observe() allocate nothing when what
// they write has its size already. No function of the C library but sqrt is called. Source: each template's page in
// docs/models/.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/result.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

class Dynamics {
 public:
  using Vector = Eigen::VectorXd;
  using Matrix = Eigen::MatrixXd;
  using Index = Eigen::Index;

  virtual ~Dynamics() = default;
  [[nodiscard]] virtual std::unique_ptr<Dynamics> clone() const = 0;
  // The equations of the template itself, without augmented states.
  [[nodiscard]] virtual const Dynamics& machine() const { return *this; }

  [[nodiscard]] const Template& type() const { return type_; }
  [[nodiscard]] bool linear() const { return linear_; }
  [[nodiscard]] Index n_x() const { return n_x_; }
  [[nodiscard]] Index n_u() const { return n_u_; }
  [[nodiscard]] Index n_y() const { return static_cast<Index>(outputs_.size()); }

  void evaluate(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const;
  virtual void observe(const Vector& x, const Vector& u, Vector& h, Matrix& C, Matrix& D) const;

  [[nodiscard]] const std::vector<ParameterInfo>& parameter_infos() const { return infos_; }
  // By index of parameter_infos(); NaN where an optional one was not given.
  [[nodiscard]] const std::vector<double>& parameters() const { return theta_; }
  // The names that set_parameter() knows.
  [[nodiscard]] std::vector<std::string> changeable_parameters() const;
  [[nodiscard]] virtual base::Status set_parameter(std::string_view name, double value);

 protected:
  Dynamics(const Template& type, const Parameters& parameters, std::vector<std::size_t> outputs);
  // Those of `own` with `more` states behind its own.
  Dynamics(const Dynamics& own, Index more, bool linear);
  Dynamics(const Dynamics&) = default;

  // f, F and G are zero when these begin.
  virtual void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const = 0;
  // h of output `which` of the template; its derivatives go into row `row` of C and D, which is zero. Unless a template
  // says otherwise: state `which`.
  [[nodiscard]] virtual double output(std::size_t which, const Vector& x, const Vector& u, Matrix& C, Matrix& D,
                                      Index row) const;

  // f = F x + G u, for linear equations.
  static void apply_linear(const Vector& x, const Vector& u, Vector& f, const Matrix& F, const Matrix& G);

  [[nodiscard]] double theta(std::size_t index) const { return theta_[index]; }
  // Without a look at the table.
  static void put_theta(Dynamics& of, std::size_t index, double value) { of.theta_[index] = value; }

 private:
  const Template& type_;
  std::vector<ParameterInfo> infos_;
  std::vector<double> theta_;
  std::vector<std::size_t> outputs_;
  bool linear_;
  Index n_x_, n_u_;
};

}  // namespace twinkeeper::model
