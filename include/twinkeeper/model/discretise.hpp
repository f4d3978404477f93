// From a continuous model to one step of Ts, inputs held in between (zoh).
//
//   A = e^{Fs}|Ts    B = ∫₀^Ts e^{Fs} ds G    Q = ∫₀^Ts e^{Fs} W e^{Fᵀs} ds    d = ∫₀^Ts e^{Fs} ds dx
//
//   symbol  shape      unit            meaning
//   F, G    n_x × …    1/s, …          continuous A and B
//   W       n_x × n_x  state² / s      spectral density of the process noise
//   dx      n_x        state / s       derivative at the operating point
//
// By the series and doublings of step_exponential.hpp: no inverse exponential e^{−F Ts} appears. Elements are accurate
// to a few units in the last place of the matrix they stand in, after balancing by powers of two. Errors: none; the
// caller has checked shapes and finiteness. Thread rule: pure. Allocation: load time only. Source: Van Loan (1978) for
// the integral, in doubling form.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::model {

struct Discretised {
  Eigen::MatrixXd A, B, Q;
  Eigen::VectorXd d;
};
[[nodiscard]] Discretised discretise(const Eigen::MatrixXd& F, const Eigen::MatrixXd& G, const Eigen::MatrixXd& W,
                                     const Eigen::VectorXd& dx, double sample_time);

}  // namespace twinkeeper::model
