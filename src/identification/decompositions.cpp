#include "identification/decompositions.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <Eigen/SVD>

namespace twinkeeper::identification {

using Eigen::MatrixXd;
using Eigen::VectorXd;

Svd left_svd(const MatrixXd& matrix) {
  const Eigen::BDCSVD<MatrixXd> svd(matrix, Eigen::ComputeThinU);
  return {svd.matrixU(), svd.singularValues()};
}

MatrixXd upper_triangle(const MatrixXd& matrix) {
  const Eigen::HouseholderQR<MatrixXd> qr(matrix);
  return qr.matrixQR().topRows(matrix.cols()).triangularView<Eigen::Upper>();
}

MatrixXd least_squares(const MatrixXd& M, const MatrixXd& B) {
  return Eigen::CompleteOrthogonalDecomposition<MatrixXd>(M).solve(B);
}

MatrixXd solve_symmetric(const MatrixXd& G, const MatrixXd& B) { return Eigen::LDLT<MatrixXd>(G).solve(B); }

MatrixXd lower_root(const MatrixXd& M) {
  const double size = M.rows() > 0 ? M.diagonal().cwiseAbs().maxCoeff() : 0.0;
  Eigen::LLT<MatrixXd> root(M);
  for (double more = 1e-14; root.info() != Eigen::Success && more < 1.0; more *= 10.0) {
    MatrixXd lifted = M;
    lifted.diagonal().array() += more * (size > 0.0 ? size : 1.0);
    root.compute(lifted);
  }
  return root.matrixL();
}

MatrixXd solve_lower(const MatrixXd& L, const MatrixXd& B) { return L.triangularView<Eigen::Lower>().solve(B); }

MatrixXd solve_lower_transposed(const MatrixXd& L, const MatrixXd& B) {
  return L.transpose().triangularView<Eigen::Upper>().solve(B);
}

Modes modes_of(const MatrixXd& matrix) {
  const Eigen::EigenSolver<MatrixXd> solver(matrix);
  return {solver.eigenvalues(), solver.eigenvectors()};
}

VectorXd symmetric_eigenvalues(const MatrixXd& matrix) {
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(matrix, Eigen::EigenvaluesOnly).eigenvalues();
}

}  // namespace twinkeeper::identification
