// The decompositions that identification needs, each compiled once: Eigen's templates are slow to compile.
//
// Thread rule: pure functions. Allocates.
#pragma once

#include <Eigen/Core>
#include <complex>

namespace twinkeeper::identification {

struct Svd {
  Eigen::MatrixXd U;
  Eigen::VectorXd values;  // falling
};
[[nodiscard]] Svd left_svd(const Eigen::MatrixXd& matrix);

// The upper triangle R of M = Q R, rows of M at least columns.
[[nodiscard]] Eigen::MatrixXd upper_triangle(const Eigen::MatrixXd& matrix);

// The X of least |M X − B|, and of those the smallest.
[[nodiscard]] Eigen::MatrixXd least_squares(const Eigen::MatrixXd& M, const Eigen::MatrixXd& B);

// The X of G X = B, G symmetric and positive semidefinite.
[[nodiscard]] Eigen::MatrixXd solve_symmetric(const Eigen::MatrixXd& G, const Eigen::MatrixXd& B);

// Lower L with L Lᵀ = M; what M lacks to be positive definite is added to its diagonal, from 1e-14 of it on.
[[nodiscard]] Eigen::MatrixXd lower_root(const Eigen::MatrixXd& M);

// L⁻¹ B and L⁻ᵀ B.
[[nodiscard]] Eigen::MatrixXd solve_lower(const Eigen::MatrixXd& L, const Eigen::MatrixXd& B);
[[nodiscard]] Eigen::MatrixXd solve_lower_transposed(const Eigen::MatrixXd& L, const Eigen::MatrixXd& B);

struct Modes {
  Eigen::VectorXcd values;
  Eigen::MatrixXcd vectors;  // by column
};
[[nodiscard]] Modes modes_of(const Eigen::MatrixXd& matrix);

// Of a symmetric matrix, rising.
[[nodiscard]] Eigen::VectorXd symmetric_eigenvalues(const Eigen::MatrixXd& matrix);

}  // namespace twinkeeper::identification
