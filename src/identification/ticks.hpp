// One experiment of a record, tick by tick, as deviations from the operating point.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace twinkeeper::identification {

struct Ticks {
  Eigen::MatrixXd u, y;              // n_u × ticks, n_y × ticks; NaN in y: missing
  std::vector<Eigen::Index> of_row;  // by row of the experiment
  [[nodiscard]] Eigen::Index count() const { return y.cols(); }
};

}  // namespace twinkeeper::identification
