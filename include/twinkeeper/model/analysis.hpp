// What a model can and cannot do, before it runs: steady-state filter, poles, detectability, steady-state gain.
//
//   P = A P Aᵀ + Q − K Σ Kᵀ     Σ = C P Cᵀ + R     K = (A P Cᵀ + S) Σ⁻¹     M = P Cᵀ Σ⁻¹
//
//   symbol  shape      unit                meaning
//   P       n_x × n_x  state²              covariance of the prediction x(k|k−1) in the steady state
//   P_post  n_x × n_x  state²              covariance of x(k|k): P − M Σ Mᵀ
//   M       n_x × n_y  state / output      filter gain:    x(k|k)   = x(k|k−1) + M ν
//   K       n_x × n_y  state / output      predictor gain: x(k+1|k) = A x(k|k−1) + B u + K ν
//   Sigma   n_y × n_y  output²             covariance of the innovation
//
// Errors: steady_state() fails when the model is not detectable (the message names the states) or when the doubling
// does not converge to a solution with ρ(A − K C) < 1.
// Edge rules: in the innovations form (K and Ry alone) P is 0, Σ = Ry and K the given gain; no output rows (n_y = 0) is
// not a model. Thread rule: pure functions. Allocation: load time only.
// Source: structured doubling after Chu, Fan, Lin and Wang (2004); detectability after Popov, Belevitch and Hautus.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/result.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

struct SteadyState {
  Eigen::MatrixXd P, P_post, M, K, Sigma;
};
[[nodiscard]] base::Result<SteadyState> steady_state(const StateSpace& model);
// The same with only some outputs ever measured (indices in ascending order); M, K and Sigma have their columns only.
[[nodiscard]] base::Result<SteadyState> steady_state(const StateSpace& model,
                                                     const std::vector<Eigen::Index>& measured);

// One eigenvalue λ of A; conjugate pairs appear as two.
struct Pole {
  double real;
  double imaginary;
  double magnitude;      // |λ|
  double time_constant;  // s: −Ts / ln|λ|; infinite for |λ| = 1, negative for a growing mode, 0 for λ = 0
  double period;         // s of the oscillation, infinite for a real positive λ
};
// Slowest first.
[[nodiscard]] std::vector<Pole> poles(const StateSpace& model);

[[nodiscard]] double spectral_radius(const Eigen::MatrixXd& matrix);

struct Detectability {
  bool observable = true;
  bool detectable = true;                        // every mode that does not decay by itself is seen by an output
  std::vector<std::string> unobservable_states;  // states that take part in modes no output sees
  std::vector<std::string> undetectable_states;  // … in modes with |λ| ≥ 1 that no output sees
};
[[nodiscard]] Detectability detectability(const StateSpace& model);

// C (I − A)⁻¹ B + D; absent if a mode with λ = 1 makes it infinite.
[[nodiscard]] std::optional<Eigen::MatrixXd> steady_state_gain(const StateSpace& model);

}  // namespace twinkeeper::model
