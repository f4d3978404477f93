// A template's model run over experiments: freely, or by its filter. What a grey box fit computes over and over.
//
// The steps are those of `compare` (nonlinear_predictor.hpp): the linearisation's exact solution between two ticks, inputs
// limited to min … max and held; of linear equations the discrete model itself. x0 is absolute.
//
//   symbol  shape            meaning
//   ν       n_y × ticks      y − ŷ(k|k−1), 0 where nothing was measured
//   logs    n_y × ticks      ln of the diagonal of the root of Σ over the rows measured, else 0
//   used    n_y × ticks      whether a value counts: it was measured, and at this tick and its neighbours a state could
//                            move the output (a sensor at its ceiling has no noise to learn from)
//
// Thread rule: an object for each thread. Allocates.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <optional>

#include "identification/experiments.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/model/step_exponential.hpp"

namespace twinkeeper::identification {

// The model of completed settings; nothing where its parameters make no sense together.
[[nodiscard]] std::optional<model::StateSpace> template_model(const model::ModelSettings& settings, double sample_time);

class TemplateRun {
 public:
  explicit TemplateRun(const model::StateSpace& model);

  // ŷ, absolute, n_y × ticks; not finite from where it runs away. `states`: x by tick, if wanted.
  [[nodiscard]] Eigen::MatrixXd simulate(const Experiment& data, const Eigen::VectorXd& x0,
                                         Eigen::MatrixXd* states = nullptr);

 private:
  [[nodiscard]] Eigen::VectorXd limited(const Experiment& data, Eigen::Index k) const;
  [[nodiscard]] Eigen::MatrixXd simulate_linear(const Experiment& data, const Eigen::VectorXd& x0,
                                                Eigen::MatrixXd* states) const;

  const model::StateSpace& model_;
  std::unique_ptr<const model::Dynamics> dynamics_;
  model::StepExponential exponential_;
  Eigen::VectorXd f_, h_;
  Eigen::MatrixXd F_, G_, C_, D_;
};

struct Innovations {
  Eigen::MatrixXd whitened;  // the root of Σ⁻¹ times ν
  Eigen::MatrixXd nu, logs;
  Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic> used;
};
// By the extended filter from x0, which counts as known.
[[nodiscard]] Innovations filter(const model::StateSpace& model, const Experiment& data, const Eigen::VectorXd& x0);

}  // namespace twinkeeper::identification
