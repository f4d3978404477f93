// Least squares for the state from the first steps, when nothing is known about it.
//
//   min over x(0)  Σ_k Σ_{i usable} (y_i(k) − C_i x(k) − D_i u(k))² / R_ii      x(k+1) = A x(k) + B u(k) + d
//
// Rows are folded one by one into a triangular factor; x(0) is the minimum-norm solution where the outputs leave it
// open (a weight of 1e-8 of the best seen direction), and the answer is x of the present step.
// All values are deviations from the operating point. Errors: none; no usable row yields the free run from 0.
// Thread rule: one thread at a time. Allocation: construction only. Source: Golub (1965), by Givens rotations.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::estimation {

class StartEstimator {
 public:
  explicit StartEstimator(const model::StateSpace& model);

  void restart();
  // One step; values of unusable rows are not looked at.
  void add(std::span<const double> u, std::span<const double> y, std::span<const std::uint8_t> usable);
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  [[nodiscard]] std::int64_t values() const { return values_; }
  // x of the step after the last one added.
  [[nodiscard]] const Eigen::VectorXd& estimate();

 private:
  void fold();  // row_ into factor_

  Eigen::MatrixXd A_, B_, C_, D_;
  Eigen::VectorXd d_, weight_;
  Eigen::MatrixXd transition_, transition_next_;  // x(k) = transition x(0) + forced
  Eigen::VectorXd forced_, forced_next_;
  Eigen::MatrixXd factor_;  // n × (n + 1), upper triangular, the right side last
  Eigen::VectorXd row_, start_, result_;
  std::int64_t steps_ = 0;
  std::int64_t values_ = 0;
};

}  // namespace twinkeeper::estimation
