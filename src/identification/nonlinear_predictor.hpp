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
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "identification/ticks.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::identification {

class NonlinearPredictor {
 public:
  // P0: covariance of x0 where y is used; sigma: covariance that whitens the errors.
  NonlinearPredictor(const model::StateSpace& model, Eigen::MatrixXd P0, Eigen::MatrixXd sigma);

  // A course of ticks from x0 on, deviations; `horizon`: absent: no y is used.
  void begin(std::optional<std::int64_t> horizon, const Eigen::VectorXd& x0);
  // ŷ of the next tick.
  [[nodiscard]] Eigen::VectorXd next(const Eigen::VectorXd& u, const Eigen::VectorXd& y);
  // The x0 of the least squared errors over a few ticks, sought from `prior`: the operating point, with augmented
  // states at their `initial`, from which they are as far as their `initial_std` allows. Ends a course.
  [[nodiscard]] Eigen::VectorXd estimate_start(const Ticks& few, bool one_step, const Eigen::VectorXd& prior);

 private:
  void expect(const Eigen::VectorXd& u, Eigen::VectorXd& predicted);
  [[nodiscard]] bool go_on(const Eigen::VectorXd& u);
  [[nodiscard]] Eigen::VectorXd errors(const Ticks& ticks, bool one_step, const Eigen::VectorXd& x0,
                                       const Eigen::VectorXd& prior);

  const model::StateSpace& model_;
  const Eigen::MatrixXd P0_, sigma_;
  estimation::KalmanFilter filter_, free_;
  const std::vector<double> nothing_;
  const std::vector<std::uint8_t> none_;
  std::vector<std::uint8_t> rows_;  // workspace
  std::optional<std::int64_t> horizon_;
  std::int64_t at_ = 0;                                           // ticks so far, with a horizon
  bool away_ = false;                                             // beyond all numbers: it stays there
  std::deque<std::pair<Eigen::VectorXd, Eigen::VectorXd>> past_;  // u, y of the last `horizon_` ticks
};

}  // namespace twinkeeper::identification
