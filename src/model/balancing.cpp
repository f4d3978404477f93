#include "model/balancing.hpp"

#include <cmath>

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

double root_as_power_of_two(double x) {
  int exponent = 0;
  (void)std::frexp(x, &exponent);  // √x lies between 2^((exponent − 1)/2) and 2^(exponent/2)
  return std::ldexp(1.0, static_cast<int>(std::floor(0.5 * exponent)));
}

VectorXd balancing(MatrixXd F) {
  const Index n = F.rows();
  VectorXd t = VectorXd::Ones(n);
  for (int sweep = 0; sweep < 100; ++sweep) {
    bool changed = false;
    for (Index i = 0; i < n; ++i) {
      const double row = F.row(i).lpNorm<1>() - std::abs(F(i, i));
      const double column = F.col(i).lpNorm<1>() - std::abs(F(i, i));
      if (row <= 0.0 || column <= 0.0) continue;
      const double factor = root_as_power_of_two(row / column);
      if (column * factor + row / factor >= 0.95 * (column + row)) continue;
      F.col(i) *= factor;
      F.row(i) /= factor;
      t(i) *= factor;
      changed = true;
    }
    if (!changed) break;
  }
  return t;
}

}  // namespace twinkeeper::model
