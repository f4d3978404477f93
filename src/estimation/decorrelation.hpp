// Roots of covariances, and what a filter with correlated noises needs of them.
#pragma once

#include <Eigen/Core>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::estimation {

// Lower triangular L with L Lᵀ = P for any PSD matrix, singular ones included.
[[nodiscard]] Eigen::MatrixXd lower_root(const Eigen::MatrixXd& P);

// The same without allocation, by Cholesky with pivots and a triangularisation: what is within rounding of singular
// loses less than n units in the last place of its variances. `root` is n × n, `scratch` holds 3 n numbers; a P that is
// not finite gives a root that is not.
void pivoted_root(const Eigen::MatrixXd& P, Eigen::MatrixXd& root, double* scratch);

// F with F Fᵀ = [R Sᵀ; S Q] (measurement noise first). In the innovations form it has n_y columns only.
[[nodiscard]] Eigen::MatrixXd joint_root(const model::StateSpace& model);

// Makes a column-major matrix (rows × columns, leading dimension `stride`) lower
// triangular (trapezoidal) by orthogonal operations on its columns; `scratch` holds rows + columns numbers. No
// allocation.
void triangularise(double* matrix, int rows, int columns, int stride, double* scratch);

}  // namespace twinkeeper::estimation
