#include "model/checks.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;

double least_scaled_eigenvalue(const MatrixXd& matrix) {
  const Index n = matrix.rows();
  if (n == 0) return 1.0;
  Eigen::VectorXd scale = Eigen::VectorXd::Ones(n);
  for (Index i = 0; i < n; ++i) {
    if (matrix(i, i) < 0.0) return -1.0;
    if (matrix(i, i) > 0.0) {
      scale(i) = 1.0 / std::sqrt(matrix(i, i));
    } else if ((matrix.row(i).array() != 0.0).any()) {
      return -1.0;
    }
  }
  const MatrixXd scaled = scale.asDiagonal() * (0.5 * (matrix + matrix.transpose())) * scale.asDiagonal();
  return Eigen::SelfAdjointEigenSolver<MatrixXd>(scaled, Eigen::EigenvaluesOnly).eigenvalues().minCoeff();
}

double asymmetry(const MatrixXd& matrix) {
  double worst = 0.0;
  for (Index i = 0; i < matrix.rows(); ++i) {
    for (Index j = 0; j < i; ++j) {
      const double difference = std::abs(matrix(i, j) - matrix(j, i));
      if (difference == 0.0) continue;
      const double size = std::max(std::sqrt(std::abs(matrix(i, i) * matrix(j, j))),
                                   std::max(std::abs(matrix(i, j)), std::abs(matrix(j, i))));
      worst = std::max(worst, difference / size);
    }
  }
  return worst;
}

MatrixXd joint_covariance(const MatrixXd& Q, const MatrixXd& R, const MatrixXd& S) {
  const Index n = Q.rows();
  const Index p = R.rows();
  MatrixXd joint(n + p, n + p);
  joint << Q, S, S.transpose(), R;
  return joint;
}

bool agree(const MatrixXd& left, const MatrixXd& right, double relative) {
  return (left - right).norm() <= relative * std::max(left.norm(), right.norm());
}

}  // namespace twinkeeper::model
