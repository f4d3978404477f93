#include "twinkeeper/model/dynamics.hpp"

#include <cmath>
#include <limits>

#include "model/templates/parameter_check.hpp"

namespace twinkeeper::model {
namespace {

std::vector<std::string> names_of(const Parameters& parameters) {
  std::vector<std::string> names;
  for (const auto& parameter : parameters) names.push_back(parameter.name);
  return names;
}

}  // namespace

Dynamics::Dynamics(const Template& type, const Parameters& parameters, std::vector<std::size_t> outputs)
    : type_(type), infos_(type.parameters(names_of(parameters))), outputs_(std::move(outputs)), linear_(type.linear) {
  for (const auto& info : infos_) {
    theta_.push_back(value_of(parameters, info.name).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  const TemplateSignals signals = type.signals(parameters);
  n_x_ = static_cast<Index>(signals.states.size());
  n_u_ = static_cast<Index>(signals.inputs.size());
}

Dynamics::Dynamics(const Dynamics& own, Index more, bool linear) : Dynamics(own) {
  n_x_ += more;
  linear_ = linear;
}

void Dynamics::evaluate(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const {
  f.setZero();
  F.setZero();
  G.setZero();
  derivative(x, u, f, F, G);
}

void Dynamics::observe(const Vector& x, const Vector& u, Vector& h, Matrix& C, Matrix& D) const {
  C.setZero();
  D.setZero();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const auto row = static_cast<Index>(i);
    h(row) = output(outputs_[i], x, u, C, D, row);
  }
}

void Dynamics::apply_linear(const Vector& x, const Vector& u, Vector& f, const Matrix& F, const Matrix& G) {
  for (Index j = 0; j < x.size(); ++j) {
    for (Index i = 0; i < f.size(); ++i) f(i) += F(i, j) * x(j);
  }
  for (Index j = 0; j < u.size(); ++j) {
    for (Index i = 0; i < f.size(); ++i) f(i) += G(i, j) * u(j);
  }
}

std::vector<std::string> Dynamics::changeable_parameters() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    const bool absent = infos_[i].optional && std::isnan(theta_[i]);
    if (!infos_[i].structural && !absent) names.push_back(infos_[i].name);
  }
  return names;
}

base::Status Dynamics::set_parameter(std::string_view name, double value) {
  std::string known;
  for (const auto& changeable : changeable_parameters()) {
    known += (known.empty() ? "" : ", ") + changeable;
    if (changeable != name) continue;
    std::size_t i = 0;
    while (infos_[i].name != name) ++i;
    if (!within(infos_[i], value)) {
      return base::Error(base::ErrorCode::invalid_argument,
                         changeable + " is out of range; accepted: " + accepted_range(infos_[i]));
    }
    theta_[i] = value;
    return base::Success{};
  }
  return base::Error(base::ErrorCode::not_found,
                     "there is no parameter '" + std::string(name) + "' that can change; accepted: " + known);
}

double Dynamics::output(std::size_t which, const Vector& x, const Vector&, Matrix& C, Matrix&, Index row) const {
  const auto state = static_cast<Index>(which);
  C(row, state) = 1.0;
  return x(state);
}

}  // namespace twinkeeper::model
