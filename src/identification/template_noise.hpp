// The noise of a template whose parameters are known: diag Q, a spectral density, and R, by likelihood.
//
//   min Σ |e^ℓ L⁻¹ν|²     L Lᵀ = Σ of each tick, ℓ the mean of ln diag L over all values
//
// over the q of each state and the ratios of the outputs' r; then one factor on all covariances, so that the mean of
// νᵀ Σ⁻¹ ν is one per value. That is where the likelihood of the innovations is greatest. Values that no state moves
// (a sensor at its ceiling) do not count: there is no noise to learn from.
//
// Thread rule: pure function. Allocates. Source: Ljung, System Identification (1999), §7.4, with the factor concentrated
// out.
#pragma once

#include "identification/experiments.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::identification {

// `x0`: n × experiments, absolute; `rmse`: of the free simulation, by output, from which R is sought. What is found
// takes the place of `settings.noise` and the outputs' noise_std; with too little to count nothing does.
void fit_template_noise(model::ModelSettings& settings, const Experiments& experiments, const Eigen::MatrixXd& x0,
                        const Eigen::VectorXd& rmse, double sample_time);

}  // namespace twinkeeper::identification
