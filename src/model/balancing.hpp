// Powers of two t such that rows and columns of T⁻¹ F T, T = diag t, are of like size. A power of two scales without
// rounding. Source: Parlett and Reinsch (1969), without permutations.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::model {

[[nodiscard]] Eigen::VectorXd balancing(Eigen::MatrixXd F);

// A power of two within a factor of √2 of √x, x > 0 and finite.
[[nodiscard]] double root_as_power_of_two(double x);

}  // namespace twinkeeper::model
