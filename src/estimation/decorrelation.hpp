// Roots of covariances, and what a filter with correlated noises needs of them.
#pragma once

#include <Eigen/Core>

namespace twinkeeper::estimation {

// Lower triangular L with L Lᵀ = P for any PSD matrix, singular ones included.
[[nodiscard]] Eigen::MatrixXd lower_root(const Eigen::MatrixXd& P);

// The same without allocation, by Cholesky with pivots and a triangularisation: what is within rounding of singular
// loses less than n units in the last place of its variances. `root` is n × n, `scratch` holds 3 n numbers; a P that is
// not finite gives a root that is not.
// `whole`: what P is the rest of after a subtraction, so that rounding is measured by its variances.
void pivoted_root(const Eigen::MatrixXd& P, const Eigen::MatrixXd& whole, Eigen::MatrixXd& root, double* scratch);
inline void pivoted_root(const Eigen::MatrixXd& P, Eigen::MatrixXd& root, double* scratch) {
  pivoted_root(P, P, root, scratch);
}

// Makes a column-major matrix (rows × columns, leading dimension `stride`) lower
// triangular (trapezoidal) by orthogonal operations on its columns; `scratch` holds rows + columns numbers. No
// allocation.
void triangularise(double* matrix, int rows, int columns, int stride, double* scratch);

}  // namespace twinkeeper::estimation
