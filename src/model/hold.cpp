#include "twinkeeper/model/hold.hpp"

#include <utility>

#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

FirstOrderHold first_order_hold(const MatrixXd& F, const MatrixXd& G, double sample_time, const Discretised& held) {
  const Index n = F.rows();
  MatrixXd twice = MatrixXd::Zero(2 * n, 2 * n);
  twice.topLeftCorner(n, n) = F;
  twice.bottomRightCorner(n, n) = F;
  twice.topRightCorner(n, n).diagonal().setConstant(1.0 / sample_time);
  MatrixXd into_second = MatrixXd::Zero(2 * n, G.cols());
  into_second.bottomRows(n) = G;
  const MatrixXd first =
      discretise(twice, into_second, MatrixXd::Zero(2 * n, 2 * n), VectorXd::Zero(2 * n), sample_time).B.topRows(n);
  MatrixXd offset = held.B - first;
  MatrixXd B = held.A * offset;
  B += first;
  return {std::move(B), std::move(offset)};
}

void check_hold(const ModelSettings& settings, base::Issues& issues) {
  if (settings.discretization == Discretization::zoh) return;
  if (settings.time == TimeBase::discrete) {
    issues.push_back({"discretization", "foh given for a discrete model, which has no time between its steps",
                      "foh with time: continuous"});
  }
  if (!linear(settings)) {
    issues.push_back({"discretization",
                      "foh given for " + std::string(settings.type) + ", whose equations are not linear",
                      "zoh, or a model with linear equations"});
  }
}

}  // namespace twinkeeper::model
