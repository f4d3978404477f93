// What an extended Kalman filter puts in the place of a linear one's constants at each step.
//
//   expect    ŷ = h(x(k|k−1), u)                       C = ∂h/∂x there
//   predict   x(k+1|k) = x(k|k) + Γ f(x(k|k), u)        F = ∂f/∂x at x(k|k), A = e^{F Ts}, Γ = ∫₀^Ts e^{Fs} ds,
//                                                       Q = ∫₀^Ts e^{Fs} W e^{Fᵀs} ds
//
// which is the zoh solution of the system linearised at x(k|k); of a linear system it is the Kalman filter itself.
// Between start and stop the filter's arrays hold this step's matrices; stop() puts the operating point's back.
// Errors: what is not finite makes the prediction not finite, which the filter refuses.
// Thread rule: one thread at a time. Allocation: construction and copies only.
// Source: Jazwinski (1970), chapter 8, with the prediction by the exponential instead of an integration in small steps.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/model/step_exponential.hpp"

namespace twinkeeper::estimation {

struct FilterArrays;

class StepLinearisation {
 public:
  explicit StepLinearisation(const model::StateSpace& model);

  void start(const FilterArrays& arrays);  // from the arrays of the linearisation at the operating point
  void stop(FilterArrays& arrays);
  [[nodiscard]] bool running() const { return running_; }

  // Before the filter's own expect(): C. After it: ŷ.
  void observe(FilterArrays& arrays, std::span<const double> u);
  void put_expected(FilterArrays& arrays) const;
  // Before the filter's own prediction: A and Q_root. After it: x_next; false if that is not finite.
  void advance(FilterArrays& arrays, std::span<const double> u);
  [[nodiscard]] bool put_prediction(FilterArrays& arrays) const;

 private:
  void take_point(const double* x, std::span<const double> u);

  // Each linearisation has equations of its own, those of a copy as well: they may have a workspace.
  struct OwnDynamics {
    std::unique_ptr<const model::Dynamics> held;

    explicit OwnDynamics(std::unique_ptr<const model::Dynamics> dynamics) : held(std::move(dynamics)) {}
    OwnDynamics(const OwnDynamics& other) : held(other.held->clone()) {}
    OwnDynamics(OwnDynamics&&) = default;
    OwnDynamics& operator=(const OwnDynamics& other) {
      held = other.held->clone();
      return *this;
    }
    OwnDynamics& operator=(OwnDynamics&&) = default;
    ~OwnDynamics() = default;
    const model::Dynamics* operator->() const { return held.get(); }
  };

  OwnDynamics dynamics_;
  model::StepExponential exponential_;
  Eigen::VectorXd x_op_, u_op_, y_op_;
  Eigen::VectorXd x_, u_, f_, h_, moved_;  // absolute
  Eigen::MatrixXd F_, G_, C_, D_, root_;
  std::vector<double> scratch_;
  std::vector<double> usual_A_, usual_C_, usual_Q_root_;
  bool running_ = false;
};

}  // namespace twinkeeper::estimation
