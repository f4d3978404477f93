// A parameter is looked at as the state that it would be if it were estimated: its columns of F and C.
#include <algorithm>
#include <cmath>
#include <limits>

#include "model/augmented_dynamics.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNegligible = 1e-6;  // of the largest effect that any parameter has on the same state or output

// What is not 0 and no augmented state already.
std::vector<AugmentedState> parameters_of(const StateSpace& model) {
  std::vector<AugmentedState> out;
  const auto& infos = model.dynamics->parameter_infos();
  for (const std::string& name : model.dynamics->changeable_parameters()) {
    const bool estimated = std::any_of(
        model.augmented.begin(), model.augmented.end(),
        [&](const AugmentedState& state) { return state.kind == AugmentKind::parameter && state.of == name; });
    AugmentedState state;
    state.kind = AugmentKind::parameter;
    state.of = name;
    while (infos[state.at].name != name) ++state.at;
    state.mean = state.initial = model.dynamics->parameters()[state.at];
    if (!estimated && state.mean != 0.0) out.push_back(state);
  }
  return out;
}

}  // namespace

std::vector<ParameterEffect> parameter_effects(const StateSpace& model) {
  std::vector<ParameterEffect> out;
  if (!model.dynamics) return out;
  const Dynamics& machine = model.dynamics->machine();
  const Index n = machine.n_x();
  const Index p = machine.n_y();
  if (n != model.n_own() || p != model.n_y()) return out;
  const std::vector<AugmentedState> parameters = parameters_of(model);
  const auto count = static_cast<Index>(parameters.size());
  constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  const AugmentedDynamics dynamics(machine.clone(), parameters,
                                   std::vector<Signal>(parameters.size(), {"", "", {-kUnlimited, kUnlimited}}));
  VectorXd x(n + count);
  x.head(n) = model.x_op.head(n);
  for (Index k = 0; k < count; ++k) x(n + k) = parameters[static_cast<std::size_t>(k)].mean;
  VectorXd f(n + count);
  VectorXd h(p);
  MatrixXd F(n + count, n + count);
  MatrixXd G(n + count, model.n_u());
  MatrixXd C(p, n + count);
  MatrixXd D(p, model.n_u());
  dynamics.evaluate(x, model.u_op, f, F, G);
  dynamics.observe(x, model.u_op, h, C, D);

  MatrixXd effects(n + p, count);  // of the whole parameter
  effects << F.topRightCorner(n, count), C.rightCols(count);
  effects *= x.tail(count).asDiagonal();
  const VectorXd negligible = kNegligible * effects.cwiseAbs().rowwise().maxCoeff();
  const MatrixXd machine_F = F.topLeftCorner(n, n);
  for (Index k = 0; k < count; ++k) {
    VectorXd slope = (effects.col(k).array().abs() > negligible.array()).select(effects.col(k), 0.0) / x(n + k);
    if (slope.isZero(0.0)) continue;
    const AugmentedState& parameter = parameters[static_cast<std::size_t>(k)];
    VectorXd b = VectorXd::Zero(model.n_x());
    b.head(n) =
        discretise(machine_F, slope.head(n), MatrixXd::Zero(n, n), VectorXd::Zero(n), model.sample_time).B.col(0);
    out.push_back(
        {parameter.of, machine.parameter_infos()[parameter.at].unit, parameter.mean, std::move(b), slope.tail(p)});
  }
  return out;
}

}  // namespace twinkeeper::model
