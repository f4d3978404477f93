#include "twinkeeper/model/discretise.hpp"

#include "twinkeeper/model/step_exponential.hpp"

namespace twinkeeper::model {

using Eigen::MatrixXd;
using Eigen::VectorXd;

Discretised discretise(const MatrixXd& F, const MatrixXd& G, const MatrixXd& W, const VectorXd& dx,
                       double sample_time) {
  StepExponential step(F, W, sample_time);
  step.compute(F);
  return {step.A(), step.gamma() * G, step.Q(), step.gamma() * dx};
}

}  // namespace twinkeeper::model
