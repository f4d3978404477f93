// How much a lasting change of an augmented state would show in the outputs, were it not estimated.
//
//   g = C (I − A)⁻¹ a + c      of the machine's own A and C, and the state's columns a of A and c of C
//
// Errors: none. Edge rules: infinite where the machine has a mode with λ = 1. Thread rule: pure. Allocation: load time.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

// By augmented state: the largest |g_i| / σ_i over the outputs `measured` with these standard deviations, per unit of
// the state.
[[nodiscard]] std::vector<double> augmented_effects(const StateSpace& model, const std::vector<Eigen::Index>& measured,
                                                    const Eigen::VectorXd& std);

}  // namespace twinkeeper::model
