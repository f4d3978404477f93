#include "reference_filter.hpp"

#include <Eigen/LU>
#include <algorithm>
#include <limits>

namespace twinkeeper::estimation {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

MatrixXd selection(const std::vector<std::uint8_t>& mask) {
  const auto rows = static_cast<Index>(std::count(mask.begin(), mask.end(), std::uint8_t{1}));
  MatrixXd result = MatrixXd::Zero(rows, static_cast<Index>(mask.size()));
  Index row = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] != 0) result(row++, static_cast<Index>(i)) = 1.0;
  }
  return result;
}

}  // namespace

void ReferenceFilter::step(const VectorXd& u, const VectorXd& y, const std::vector<std::uint8_t>& good,
                           const std::vector<std::uint8_t>& used) {
  expected = model.C * x + model.D * u;
  Sigma = model.C * P * model.C.transpose() + model.R;
  const VectorXd innovation = y - expected;

  const MatrixXd W = selection(good);
  nis = std::numeric_limits<double>::quiet_NaN();
  if (W.rows() > 0) {
    const VectorXd part = W * innovation;
    nis = part.dot((W * Sigma * W.transpose()).inverse() * part);
  }
  const MatrixXd V = selection(used);
  const MatrixXd C = V * model.C;
  const MatrixXd S = model.S * V.transpose();
  const MatrixXd Sigma_V = V * Sigma * V.transpose();
  const MatrixXd inverse = Sigma_V.rows() > 0 ? MatrixXd(Sigma_V.inverse()) : Sigma_V;
  if (considered > 0) {
    MatrixXd K = P * C.transpose() * inverse;
    K.bottomRows(considered).setZero();
    const MatrixXd R = V * model.R * V.transpose();
    const MatrixXd rest = MatrixXd::Identity(x.size(), x.size()) - K * C;
    const MatrixXd told = R.rows() > 0 ? MatrixXd(S * R.inverse()) : S;
    x_post = x + K * (V * innovation);
    P_post = rest * P * rest.transpose() + K * R * K.transpose();
    x = (model.A * x_post + model.B * u + model.d + told * (V * (y - model.C * x_post - model.D * u))).eval();
    const MatrixXd A = model.A - told * C;
    P = (A * P_post * A.transpose() + model.Q - told * S.transpose()).eval();
    return;
  }
  const MatrixXd M = P * C.transpose() * inverse;
  const MatrixXd L = (model.A * P * C.transpose() + S) * inverse;
  x_post = x + M * (V * innovation);
  P_post = P - M * Sigma_V * M.transpose();
  x = (model.A * x + model.B * u + model.d + L * (V * innovation)).eval();
  P = (model.A * P * model.A.transpose() + model.Q - L * Sigma_V * L.transpose()).eval();
}

}  // namespace twinkeeper::estimation
