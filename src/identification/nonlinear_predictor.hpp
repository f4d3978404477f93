// Predictions of a nonlinear template: the equations themselves between measurements, the extended filter where y is
// used.
//
//   simulated     x(k+1) = the step of estimation/step_linearisation.hpp, without any y
//   H ahead       the extended filter up to k−H, from x0 with the steady covariance of the operating point, then
//   simulated x0            Gauss and Newton's steps, damped after Levenberg and Marquardt, on the whitened errors
// Errors: none; a prediction that is not finite stays so. Thread rule: one thread. Allocates.
// Source: Marquardt (1963).
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>

#include "identification/ticks.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::identification {

class NonlinearPredictor {
 public:
  // P0: covariance of x0 where y is used; sigma: covariance that whitens the errors.
  NonlinearPredictor(const model::StateSpace& model, Eigen::MatrixXd P0, Eigen::MatrixXd sigma);

  // ŷ by tick, one column each; deviations.
  [[nodiscard]] Eigen::MatrixXd predict(const Ticks& ticks, std::optional<std::int64_t> horizon,
                                        const Eigen::VectorXd& x0);
  // The x0 of the least squared errors over the ticks before `end`, sought from `prior`: the operating point, with
  // augmented states at their `initial`, from which they are as far as their `initial_std` allows.
  [[nodiscard]] Eigen::VectorXd estimate_start(const Ticks& ticks, Eigen::Index end, bool one_step,
                                               const Eigen::VectorXd& prior);

 private:
  void simulate(const Ticks& ticks, Eigen::Index from, Eigen::Index to, const Eigen::VectorXd& x,
                Eigen::MatrixXd& predicted, bool last_only);
  [[nodiscard]] Eigen::VectorXd errors(const Ticks& ticks, bool one_step, const Eigen::VectorXd& x0,
                                       const Eigen::VectorXd& prior);

  const model::StateSpace& model_;
  const Eigen::MatrixXd P0_, sigma_;
  estimation::KalmanFilter filter_, free_;
};

}  // namespace twinkeeper::identification
