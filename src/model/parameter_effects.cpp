#include <cmath>

#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kStep = 1.0 / 32768.0;  // of a parameter's value
constexpr double kNegligible = 1e-6;     // of the largest effect that any parameter has on the same state or output

// f over h at the operating point.
VectorXd equations_at(const Dynamics& dynamics, const StateSpace& model, MatrixXd& F) {
  const Index n = dynamics.n_x();
  VectorXd f(n);
  VectorXd h(dynamics.n_y());
  MatrixXd G(n, dynamics.n_u());
  MatrixXd C(dynamics.n_y(), n);
  MatrixXd D(dynamics.n_y(), dynamics.n_u());
  F.resize(n, n);
  dynamics.evaluate(model.x_op, model.u_op, f, F, G);
  dynamics.observe(model.x_op, model.u_op, h, C, D);
  VectorXd out(n + h.size());
  out << f, h;
  return out;
}

}  // namespace

std::vector<ParameterEffect> parameter_effects(const StateSpace& model) {
  std::vector<ParameterEffect> out;
  if (!model.dynamics || model.dynamics->n_x() != model.n_x() || model.dynamics->n_y() != model.n_y()) return out;
  const auto dynamics = model.dynamics->clone();
  const Index n = model.n_x();
  const auto& infos = dynamics->parameter_infos();
  MatrixXd F;
  std::vector<VectorXd> slopes;
  VectorXd largest = VectorXd::Zero(n + model.n_y());
  for (const std::string& name : dynamics->changeable_parameters()) {
    std::size_t i = 0;
    while (infos[i].name != name) ++i;
    const double value = dynamics->parameters()[i];
    const double step = kStep * std::abs(value);
    if (!(step > 0.0) || !dynamics->set_parameter(name, value + step)) continue;
    const VectorXd above = equations_at(*dynamics, model, F);
    const bool both = dynamics->set_parameter(name, value - step).ok();
    const VectorXd below = equations_at(*dynamics, model, F);
    if (!dynamics->set_parameter(name, value) || !both) continue;
    slopes.push_back((above - below) / (2.0 * step));
    largest = largest.cwiseMax(std::abs(value) * slopes.back().cwiseAbs());
    out.push_back({name, infos[i].unit, value, {}, {}});
  }
  static_cast<void>(equations_at(*dynamics, model, F));
  std::vector<ParameterEffect> seen;
  for (std::size_t k = 0; k < out.size(); ++k) {
    VectorXd slope = slopes[k];
    for (Index i = 0; i < slope.size(); ++i) {
      if (std::abs(out[k].value * slope(i)) <= kNegligible * largest(i)) slope(i) = 0.0;
    }
    if (slope.isZero(0.0)) continue;
    out[k].b = discretise(F, slope.head(n), MatrixXd::Zero(n, n), VectorXd::Zero(n), model.sample_time).B.col(0);
    out[k].c = slope.tail(model.n_y());
    seen.push_back(std::move(out[k]));
  }
  return seen;
}

}  // namespace twinkeeper::model
