// What a linear system does in one step; for one that is linearised anew at every step, without allocation.
//
//   A = e^{F Ts}    Γ = ∫₀^Ts e^{Fs} ds    Q = ∫₀^Ts e^{Fs} W e^{Fᵀs} ds
//
//   symbol  shape      unit        meaning
//   F       n_x × n_x  1/s         Jacobian of the moment
//   W       n_x × n_x  state² / s  spectral density of the process noise
//   Γ f     n_x        state       how far x moves in one step where ẋ = f: the zoh solution of the linearised system
//
// A Taylor series over h = Ts/2^j with |F| h ≤ 1/4, short enough for no cancellation, then j doublings that only add
// terms of one kind, so |F| Ts = 500 and beyond is harmless; in coordinates balanced once for a typical F, with plain
// loops: the same bits on every processor. Errors: none; what overflows is not finite. Thread rule: one thread at a
// time. Allocation: construction only. Source: Van Loan (1978) for the integral, in doubling form.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::model {

class StepExponential {
 public:
  StepExponential() = default;
  StepExponential(const Eigen::MatrixXd& typical_F, const Eigen::MatrixXd& W, double sample_time);

  // A(), gamma() and Q() of this F; `with_noise` false leaves Q as it was.
  void compute(const Eigen::MatrixXd& F, bool with_noise = true);

  [[nodiscard]] const Eigen::MatrixXd& A() const { return A_; }
  [[nodiscard]] const Eigen::MatrixXd& gamma() const { return gamma_; }
  [[nodiscard]] const Eigen::MatrixXd& Q() const { return Q_; }

 private:
  double sample_time_ = 0.0;
  Eigen::VectorXd t_;  // powers of two
  Eigen::MatrixXd F_, W_, A_, gamma_, Q_, power_, product_, term_;
};

}  // namespace twinkeeper::model
