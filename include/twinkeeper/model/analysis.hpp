// What a model can and cannot do, before it runs: steady-state filter, poles, detectability, steady-state gain, and
// which faults the innovations can tell apart.
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
// `measured` are the indices of the outputs that are ever measured, in ascending order: all others are virtual, and only
// the rows of C, R and the columns of S that belong to measured ones count.
// Errors: steady_state() fails when the model is not detectable (the message names the states) or when the doubling
// does not converge to a solution with ρ(A − K C) < 1.
// Edge rules: in the innovations form (K and Ry alone) with every output measured P is 0, Σ = Ry and K the given gain.
// With no output measured nothing is observable, P is the variance of the free process (it exists if ρ(A) < 1), M, K and
// Σ are empty and every fault is undetectable. Thread rule: pure functions. Allocation: load time only.
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
// M, K and Sigma have the columns of the measured outputs only.
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
[[nodiscard]] Detectability detectability(const StateSpace& model, const std::vector<Eigen::Index>& measured);

// C (I − A)⁻¹ B + D; absent if a mode with λ = 1 makes it infinite.
[[nodiscard]] std::optional<Eigen::MatrixXd> steady_state_gain(const StateSpace& model);

// What a constant fault leaves in the innovation of the steady-state filter once everything has settled:
//
//   bias 1 of measured output i         ν = (I − C (I − A + K C)⁻¹ K) e_i
//   disturbance 1 per step of state j   ν = C (I − A + K C)⁻¹ e_j              both whitened: Σ^(−1/2) ν
//
// A fault is visible if its ν is not zero but for rounding: more than 1e-6 of the terms it is the sum of. Two visible
// faults are told apart by the direction of their whitened innovations alone, since nobody knows their size.
// What passes before all has settled may tell more.
struct FaultSignature {
  std::string name;            // "level_1.bias" after the output, "level_2.disturbance" after the state
  Eigen::VectorXd innovation;  // whitened, one element per measured output
  bool visible = false;
};
// Biases in the order of `measured`, then disturbances in the order of the states. `steady` is that of `measured`.
[[nodiscard]] std::vector<FaultSignature> fault_signatures(const StateSpace& model, const SteadyState& steady,
                                                           const std::vector<Eigen::Index>& measured);

struct Ambiguity {
  std::vector<std::vector<std::string>> groups;  // of two or more that share a direction: |cos| ≥ 0.99 from one to the
                                                 // next, so the ends of a chain may lie further apart
  std::vector<std::string> undetectable;         // not visible
};
[[nodiscard]] Ambiguity ambiguity(const std::vector<FaultSignature>& faults);

}  // namespace twinkeeper::model
