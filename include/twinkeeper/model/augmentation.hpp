// What a model is augmented with: biases of sensors, disturbances of inputs and physical parameters that change slowly,
// each estimated as one more state behind those of the machine.
//
//   ẋ = f(x, u + d, θ)       y = h(x, u + d, θ) + b + v        f, h: matrices, or a template's equations
//   ż = −(z − z̄)/τ + w       for each of b, d, θ; a random walk (ż = w) without τ
//
//   symbol  shape  unit        meaning
//   b       n_y    output      sensor_bias of an output; state bias_<output>
//   d       n_u    input       input_disturbance, at the machine: of no dead time; state disturbance_<input>
//   θ       –      own         parameter of a template; state of its own name
//   z̄       –      as z        0, of a parameter its configured value
//   q²      –      z² / s      spectral density of w: q is noise_density, or std √(2/τ)
//
//   continuous   F, G, C, D and diag(W, q²) are extended, then discretised as one (Van Loan)
//   discrete     φ = e^{−Ts/τ} and Qd = q² τ/2 (1 − φ²), or 1 and q² Ts, beside A and Q; d is held over the step
//   parameters   make the equations nonlinear: the extended filter estimates them. ∂f/∂θ and ∂h/∂θ are central
//                differences (augmented_dynamics.hpp)
//
// Two random walks that nothing distinguishes would wander, each against the other, without bound. So a model must keep
// them apart: A and C being augmented with the random walks alone, and M the measured outputs,
//
//   rank [A − I; C_M] = number of its columns      (Pannocchia and Rawlings' condition)
//
// which needs no more of them than there are measured outputs. It is tested one by one, in the order of the list, so
// that what is told is the first that can't be told from those before it; by singular values, relative to 1e-9, after
// rows and columns have been brought to like size; at the operating point. With a τ they are always detectable: what
// cannot be told apart goes back to z̄ by itself. Errors: base::Issues with paths "model.augment[k]". Edge rules:
// unaugmented models have no issue; directions that no augmented state takes part in are not looked for. Thread rule:
// pure functions. Allocation: load time only. Source: Pannocchia and Rawlings, Disturbance models for offset-free
// model-predictive control, AIChE Journal 49 (2003).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

struct StateSpace;

struct AugmentedState {
  AugmentKind kind = AugmentKind::sensor_bias;
  std::string of;              // output, input or parameter
  std::size_t at = 0;          // index among outputs, inputs or the template's parameters
  double mean = 0.0;           // z̄
  double rate = 0.0;           // 1/τ in 1/s
  double noise_density = 0.0;  // q
  double initial = 0.0;        // what is known of it before the first step, whatever is known of other states
  double initial_std = 0.0;
  // How far from `initial` it is no fault: unless given, three times what the model holds possible of it by itself, the larger of
  // initial_std and √(q² τ/2), or √(initial_std² + q² · 1 day) of a random walk.
  double deviation_limit = 0.0;
};

[[nodiscard]] const char* to_string(AugmentKind kind);
// Of the state: "bias_level_1", "disturbance_pump", "UA".
[[nodiscard]] std::string augmented_name(const AugmentSettings& settings);

// Which augmented states the outputs, or those of these indices, cannot tell from each other or from a state of the
// machine.
[[nodiscard]] base::Issues indistinguishable(const StateSpace& model);
[[nodiscard]] base::Issues indistinguishable(const StateSpace& model, const std::vector<std::ptrdiff_t>& measured);

// The linear model of the machine itself, at the same operating point. Q keeps what the noise of a disturbance or a
// parameter adds to it within a step.
[[nodiscard]] StateSpace without_augmentation(const StateSpace& model);

}  // namespace twinkeeper::model
