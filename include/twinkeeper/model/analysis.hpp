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

// By augmented state: how far a unit of it that lasts moves the measured outputs, were it not estimated: the largest
// |C (I − A)⁻¹ a + c|_i / √Σ_ii, with its columns a of A and c of C. Infinite where a mode with λ = 1 makes it so.
[[nodiscard]] std::vector<double> augmented_effects(const StateSpace& model, const SteadyState& steady,
                                                    const std::vector<Eigen::Index>& measured);

// What a change of a template's parameter by one unit adds to one step at the operating point: b to the state's equation,
// c to the outputs; held over the step. Parameters that do nothing there are left out (a heat capacity at rest), and those
// that are 0 or augmented states.
struct ParameterEffect {
  std::string name, unit;
  double value = 0.0;    // of the model
  Eigen::VectorXd b, c;  // state / θ, output / θ
};
[[nodiscard]] std::vector<ParameterEffect> parameter_effects(const StateSpace& model);

// What a constant fault does to the innovation of the steady-state filter. From step 0 on, e(0) = 0, F = A − K C:
//
//   bias 1 of measured output i         ν(k) = C e(k) + e_i      e(k+1) = F e(k) − K e_i
//   fault 1 of input j                  ν(k) = C e(k) + D e_j    e(k+1) = F e(k) + (B − K D) e_j
//   disturbance 1 per step of state s   ν(k) = C e(k)            e(k+1) = F e(k) + e_s
//   change 1 of a parameter             ν(k) = C e(k) + c        e(k+1) = F e(k) + b − K c
//   drift of measured output i          that of a bias of k
//
// and in the end, with E = (I − F)⁻¹, what follows from e = E (…); all whitened: Σ^(−1/2) ν. Dead times of inputs are
// left out: what is late is late for good.
//
// A fault is visible if what remains of it in the end is not zero but for rounding: more than 1e-6 of the terms it is
// the sum of, of a drift more than 1e-6 of its course. Two visible faults are told apart by the course of their
// innovations over the first kFaultSteps steps, which is about when an alarm has to say something, but not by its size,
// since nobody knows theirs:  cos = Σ_k ν₁ᵀ ν₂ / √(Σ_k ν₁ᵀ ν₁ · Σ_k ν₂ᵀ ν₂).
inline constexpr Eigen::Index kFaultSteps = 30;

struct FaultSignature {
  std::string name;            // "level_1.bias" after the output, "pump.fault" after the input, "level_2.disturbance"
                               // after the state, "a1.change" after the parameter, "level_1.drift"
  Eigen::VectorXd innovation;  // in the end, one element per measured output; of a drift the last of its course
  Eigen::MatrixXd course;      // measured outputs × kFaultSteps
  bool visible = false;
};
// Biases in the order of `measured`, faults of the inputs, disturbances of the machine's own states, changes of
// parameters (parameter_effects()), drifts. `steady` is that of `measured`.
[[nodiscard]] std::vector<FaultSignature> fault_signatures(const StateSpace& model, const SteadyState& steady,
                                                           const std::vector<Eigen::Index>& measured);

struct Ambiguity {
  std::vector<std::vector<std::string>> groups;   // of two or more that share a course: |cos| > 0.95 from one to the
                                                  // next, so the ends of a chain may lie further apart
  std::vector<std::vector<std::size_t>> members;  // the same by position
  std::vector<std::string> undetectable;          // not visible
};
[[nodiscard]] Ambiguity ambiguity(const std::vector<FaultSignature>& faults);

}  // namespace twinkeeper::model
