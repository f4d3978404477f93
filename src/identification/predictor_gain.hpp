// The noise of a model whose A, B, C, D are known: K and Ry by least squares of the one-step errors, then Q, R and S.
//
//   min Σ_k |ν(k)|² whitened     x(k+1) = A x + B u + K ν     ν = y − C x − D u − o     over K and an x0 each, ρ(A − K C) < 1
//
// Started from Kalman gains of three ratios of process to measurement noise, the best of which is refined by
// Levenberg's and Marquardt's steps. Every P with P⁻¹ ≥ (A−KC)ᵀ P⁻¹ (A−KC) + Cᵀ Ry⁻¹ C belongs to Q, R, S with the very
// same K and Ry: the largest is W⁻¹, W the observability Gramian of (A − K C, Ry^−½ C). Data without gaps cannot tell them
// apart; half of it is taken, so that of what is uncertain one half is the state and one half the sensor.
//
//   R = Ry − C P Cᵀ     S = K Ry − A P Cᵀ     Q = P − A P Aᵀ + K Ry Kᵀ
//
// Thread rule: pure functions. Allocates. Source: Faurre (1976) for the set of P; Ljung (1999) §7 for the criterion.
#pragma once

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

struct Gain {
  Eigen::MatrixXd K, Ry;
};
// The K of `model` does not count.
[[nodiscard]] Gain fit_gain(const Experiments& experiments, const LinearModel& model);

// Of the one-step errors of a model with its K, from x0 = 0 on; the first rows of each experiment do not count.
[[nodiscard]] Eigen::MatrixXd innovation_covariance(const Experiments& experiments, const LinearModel& model);

struct Noise {
  Eigen::MatrixXd Q, R, S;
  Eigen::MatrixXd T, T_inverse;  // x = T x′, the basis in which Q, S and all else is to be written: W = I there
};
[[nodiscard]] Noise split_noise(const LinearModel& model, const Gain& gain);

}  // namespace twinkeeper::identification
