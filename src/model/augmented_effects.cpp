#include "model/augmented_effects.hpp"

#include <Eigen/LU>
#include <algorithm>
#include <cmath>
#include <limits>

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

std::vector<double> augmented_effects(const StateSpace& model, const std::vector<Index>& measured,
                                      const VectorXd& std) {
  const Index n = model.n_own();
  std::vector<double> out(model.augmented.size(), std::numeric_limits<double>::infinity());
  Eigen::FullPivLU<MatrixXd> lu(MatrixXd::Identity(n, n) - model.A.topLeftCorner(n, n));
  lu.setThreshold(1e-12);
  if (!lu.isInvertible()) return out;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const Index i = n + static_cast<Index>(k);
    const VectorXd g = model.C.leftCols(n) * lu.solve(model.A.col(i).head(n)) + model.C.col(i);
    out[k] = 0.0;
    for (std::size_t m = 0; m < measured.size(); ++m) {
      out[k] = std::max(out[k], std::abs(g(measured[m])) / std(static_cast<Index>(m)));
    }
  }
  return out;
}

}  // namespace twinkeeper::model
