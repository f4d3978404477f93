// One heated body, or two that touch, each with a slow sensor. Equations and source:
// docs/models/first_order_thermal.md.
#include <cmath>

#include "model/templates/list.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t { kC, kR, kEta, kTau, kC2, kR2, kEta2, kTau2, kR12 };
constexpr std::size_t kOfOneBody = 4;

struct Layout {  // where things stand among states and inputs
  bool second;
  bool lag, lag_2;
  [[nodiscard]] Eigen::Index sensor() const { return second ? 2 : 1; }
  [[nodiscard]] Eigen::Index sensor_2() const { return lag ? 3 : 2; }
  [[nodiscard]] Eigen::Index ambient() const { return second ? 2 : 1; }
};

Layout layout_of(const Parameters& parameters) {
  const bool second = value_of(parameters, "C_2").has_value();
  return {second, value_of(parameters, "tau_sensor") > 0.0, second && value_of(parameters, "tau_sensor_2") > 0.0};
}

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  std::vector<ParameterInfo> infos{{"C", "J/K", "heat capacity of the body"},
                                   {"R", "K/W", "thermal resistance from the body to the surroundings"},
                                   {"eta", "", "heat in W per unit of `heater`", 1.0},
                                   {"tau_sensor", "s", "time constant of the sensor; not there unless given"},
                                   {"C_2", "J/K", "heat capacity of a second body; not there unless given"},
                                   {"R_2", "K/W", "thermal resistance from the second body to the surroundings"},
                                   {"eta_2", "", "heat in W per unit of `heater_2`"},
                                   {"tau_sensor_2", "s", "time constant of the second sensor"},
                                   {"R_12", "K/W", "thermal resistance between the two bodies"}};
  for (std::size_t i = kTau; i < infos.size(); ++i) infos[i].optional = true;
  return infos;
}

void check(const Parameters& parameters, base::Issues& issues) {
  if (layout_of(parameters).second) {
    for (const char* name : {"R_2", "eta_2", "R_12"}) {
      if (value_of(parameters, name)) continue;
      issues.push_back({std::string("parameters.") + name, "missing, though there is a second body",
                        "C_2, R_2, eta_2 and R_12, or none of them"});
    }
    return;
  }
  for (const char* name : {"R_2", "eta_2", "tau_sensor_2", "R_12"}) {
    if (!value_of(parameters, name)) continue;
    issues.push_back({std::string("parameters.") + name, "given without C_2, the heat capacity of the second body",
                      "C_2, R_2, eta_2 and R_12, or none of them"});
  }
}

TemplateSignals signals(const Parameters& parameters) {
  const Layout layout = layout_of(parameters);
  TemplateSignals out{{{"T", "degC", "temperature of the body"}},
                      {{"heater", "", "what heats the body, in any unit", {}, {}, 0.0}},
                      {{"T", "degC", "what the sensor shows"}}};
  if (layout.second) {
    out.states.push_back({"T_2", "degC", "temperature of the second body"});
    out.inputs.push_back({"heater_2", "", "what heats the second body", {}, {}, 0.0});
    out.outputs.push_back({"T_2", "degC", "what the second sensor shows"});
  }
  if (layout.lag) out.states.push_back({"T_sensor", "degC", "temperature of the sensor"});
  if (layout.lag_2) out.states.push_back({"T_sensor_2", "degC", "temperature of the second sensor"});
  out.inputs.push_back({"T_ambient", "degC", "temperature of the surroundings", {}, {}, 20.0});
  return out;
}

class FirstOrderThermal final : public Dynamics {
 public:
  FirstOrderThermal(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kFirstOrderThermal, parameters, std::move(outputs)), layout_(layout_of(parameters)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<FirstOrderThermal>(*this); }

 private:
  void body(Index i, std::size_t first, Matrix& F, Matrix& G) const {
    const double rate = 1.0 / (theta(first + kC) * theta(first + kR));
    F(i, i) = -rate;
    G(i, i) = theta(first + kEta) / theta(first + kC);
    G(i, layout_.ambient()) = rate;
  }
  static void sensor(Index i, Index of, double tau, Matrix& F) {
    F(i, of) = 1.0 / tau;
    F(i, i) = -1.0 / tau;
  }
  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    body(0, 0, F, G);
    if (layout_.second) {
      body(1, kOfOneBody, F, G);
      const double conductance = 1.0 / theta(kR12);
      F(0, 0) -= conductance / theta(kC);
      F(0, 1) += conductance / theta(kC);
      F(1, 1) -= conductance / theta(kC2);
      F(1, 0) += conductance / theta(kC2);
    }
    if (layout_.lag) sensor(layout_.sensor(), 0, theta(kTau), F);
    if (layout_.lag_2) sensor(layout_.sensor_2(), 1, theta(kTau2), F);
    apply_linear(x, u, f, F, G);
  }
  [[nodiscard]] double output(std::size_t which, const Vector& x, const Vector&, Matrix& C, Matrix&,
                              Index row) const override {
    Index state = static_cast<Index>(which);
    if (which == 0 && layout_.lag) state = layout_.sensor();
    if (which == 1 && layout_.lag_2) state = layout_.sensor_2();
    C(row, state) = 1.0;
    return x(state);
  }

  Layout layout_;
};

}  // namespace

const Template kFirstOrderThermal{"first_order_thermal",
                                  "One heated body, or two that touch, each with a slow sensor",
                                  true,
                                  parameters,
                                  check,
                                  signals,
                                  make_dynamics<FirstOrderThermal>};

}  // namespace twinkeeper::model
