// Whether anything is left in the errors of a model that it should have told: what a report shows beside its fits.
//
//   r_e(l)  = Σ_k e(k) e(k−l) / Σ_k e(k)²                      whiteness, l = 1 … kResidualLags
//   r_eu(l) = Σ_k e(k) u(k−l) / √(Σ_k e(k)² Σ_k u(k)²)          l = −kResidualLags … kResidualLags
//   Q       = T (T + 2) Σ_l r_e(l)² / (T − l)                  portmanteau; χ²(kResidualLags) if e is white
//   bands   2.576 / √T of r_e;  2.576 √(Σ_l r_e(l) r_u(l) / T) of r_eu, for e need not be white: 99 % of the values
//
// Significant r_eu at l ≥ 0 is an answer to the input that the model lacks. At l < 0 inputs that follow the errors show, a
// record made under feedback; there u counts without what follows from its own past, whose memory would carry an
// answer to such lags, too. One of 41 lags may well pass a band of 99 %, so what decides is the largest of all lags,
// with a limit that all of them keep in 99 of 100 records (kAllLags).
// Errors must begin with the start-up already left out. Thread rule: pure functions. Allocates.
// Source: Ljung and Box (1978); Ljung, System Identification (1999), §16.6 and eq. 16.63.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "identification/experiments.hpp"

namespace twinkeeper::identification {

inline constexpr Eigen::Index kResidualLags = 20;
inline constexpr double kBand = 2.576;     // standard deviations: 99 % of normal values
inline constexpr double kAllLags = 3.667;  // of 41 lags the largest in 99 % of the cases

struct InputCorrelation {
  Eigen::VectorXd correlation;  // lags −kResidualLags … kResidualLags
  double band = 0.0;
  bool left = false;      // beyond the limit at a lag ≥ 0
  bool feedback = false;  // … at a lag < 0
};
struct ResidualTests {              // of one output
  Eigen::VectorXd autocorrelation;  // lags 0 … kResidualLags
  double band = 0.0;
  double portmanteau = 0.0, portmanteau_limit = 0.0;  // 99 %
  bool white = true;
  std::vector<InputCorrelation> inputs;  // by input
};

// `errors`: n_y × ticks of all experiments, 0 where nothing was measured.
[[nodiscard]] std::vector<ResidualTests> residual_tests(const Experiments& experiments, const Eigen::MatrixXd& errors);

}  // namespace twinkeeper::identification
