// The checks of build() that need linear algebra, one by one.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::model {

// Smallest eigenvalue after scaling the diagonal to one (a correlation matrix), so that units do not matter; −1 where a
// diagonal element is negative or zero beside a non-zero off-diagonal one.
[[nodiscard]] double least_scaled_eigenvalue(const Eigen::MatrixXd& matrix);

// Largest |a_ij − a_ji| against √|a_ii a_jj|.
[[nodiscard]] double asymmetry(const Eigen::MatrixXd& matrix);

[[nodiscard]] Eigen::MatrixXd joint_covariance(const Eigen::MatrixXd& Q, const Eigen::MatrixXd& R,
                                               const Eigen::MatrixXd& S);

// |left − right| ≤ relative · max(|left|, |right|) in the Frobenius norm.
[[nodiscard]] bool agree(const Eigen::MatrixXd& left, const Eigen::MatrixXd& right, double relative);

}  // namespace twinkeeper::model
