// Inputs that run linearly from one tick to the next (first-order hold, foh) instead of being held (zoh): the better
// description of what changes smoothly, such as an outdoor temperature or a flow behind a slow valve.
//
//   x(k+1) = A x(k) + Γ₁ u(k) + Γ₂ u(k+1)        Γ₁ = 1/Ts ∫₀^Ts s e^{Fs} ds G      Γ₁ + Γ₂ = ∫₀^Ts e^{Fs} ds G
//
// x(k) depends on u(k), which nobody knows before tick k. A filter that steps ahead works on
//
//   z(k)   = x(k) − Γ₂ u(k)
//   z(k+1) = A z(k) + B u(k)           B = Γ₁ + A Γ₂
//   y(k)   = C z(k) + (C Γ₂ + D) u(k)
//
//   symbol  shape      unit            meaning
//   F, G    n_x × …    1/s, …          continuous A and B
//   u, x    …          …               deviations from the operating point
//   Γ₂      n_x × n_u  state / input   StateSpace::hold_offset
//   B, D    …          …               StateSpace::B, D: those of z; the transfer from u to y is that of x
//
// Process noise, drift and P are the same for x and z, since u is known. What is told of the states (values, standard
// deviations, limits, initial) is x. Γ₁ comes from one exponential of [F I/Ts; 0 F] (discretise.hpp): a sum of terms of
// one kind, so it keeps its digits where it is small against Γ₂, as it is for stiff F.
// Errors: none; shapes are the caller's. Edge rules: n_u = 0. Thread rule: pure. Allocation: load time only.
// Source: Franklin, Powell and Workman, Digital Control of Dynamic Systems (1998), §6.3.2 (triangle hold).
#pragma once

#include <Eigen/Core>

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/discretise.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

struct FirstOrderHold {
  Eigen::MatrixXd B, offset;  // Γ₁ + A Γ₂ and Γ₂
};
// `held`: the same model discretised for inputs that are held.
[[nodiscard]] FirstOrderHold first_order_hold(const Eigen::MatrixXd& F, const Eigen::MatrixXd& G, double sample_time,
                                              const Discretised& held);

// Where foh has no meaning: discrete models, and equations that are linearised at every step. Paths as of complete().
void check_hold(const ModelSettings& settings, base::Issues& issues);

}  // namespace twinkeeper::model
