// The ticks of one experiment as deviations from the operating point.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::identification {

struct Ticks {
  Eigen::MatrixXd u, y;  // n_u × ticks, n_y × ticks; NaN in y: missing
  [[nodiscard]] Eigen::Index count() const { return y.cols(); }
};

}  // namespace twinkeeper::identification
