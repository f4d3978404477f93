// Powers of two t such that rows and columns of T⁻¹ F T, T = diag t, are of like size. A power of two scales without
// rounding. Source: Parlett and Reinsch (1969), without permutations.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::model {

[[nodiscard]] Eigen::VectorXd balancing(Eigen::MatrixXd F);

}  // namespace twinkeeper::model
