// The filter's equations as they stand in the header, with matrices and inverses: slow, plain, independent of the
// square roots and of the order of rows.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::estimation {

struct ReferenceFilter {
  const model::StateSpace& model;
  Eigen::VectorXd x;  // k|k−1
  Eigen::MatrixXd P;

  Eigen::VectorXd x_post, expected;
  Eigen::MatrixXd P_post, Sigma;
  double nis = 0.0;
  Eigen::Index considered = 0;  // so many states, the last, are considered only

  void step(const Eigen::VectorXd& u, const Eigen::VectorXd& y, const std::vector<std::uint8_t>& good,
            const std::vector<std::uint8_t>& used);
};

}  // namespace twinkeeper::estimation
