// Time series without inputs: a vector autoregression that holds no more than the record shows.
//
//   y(k) = Σ_{i=1…N} A_i y(k−i) + e(k)
//
//  - An output whose level the record does not determine (a drift: the hypothesis of a unit root is not rejected) is a
//    walk, y(k) = y(k−1) + e(k), drawn in as far as `cap` says. It stands in no other output's equation: how far it has
//    drifted tells nothing of where they are, and what a short record pretends goes wrong as it drifts on.
//  - All other outputs' equations begin with all their lags; numbers go, the least certain first, until each that is left
//    is worth its place by the Bayesian information criterion (t² > ln ticks). Own first lags stay.
//
//   symbol  unit  meaning
//   φ       –     Δy(k) = c + (φ − 1) y(k−1) + a_1 Δy(k−1) + a_2 Δy(k−2) + e(k)
//   ρ       –     ticks (1 − φ) / (1 − a_1 − a_2): below 14.0 a unit root is not rejected at 5 %
//
// Thread rule: pure function. Allocates. Source: Fuller, Introduction to Statistical Time Series (1976), §8.5;
// Granger, Newbold, J. Econometrics 2 (1974) on regressions on walks; Schwarz (1978).
#pragma once

#include <vector>

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

[[nodiscard]] LinearModel autoregression(const Experiments& experiments, Eigen::Index order, double cap);

// Whether rows in order determine a level; a NaN parts them.
[[nodiscard]] bool level_known(const std::vector<double>& values);
// By output of a record.
[[nodiscard]] std::vector<bool> levels_known(const Experiments& experiments);

}  // namespace twinkeeper::identification
