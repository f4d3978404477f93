// What a change of a parameter does to a step, against the equations followed in small steps.
#include <algorithm>
#include <cmath>

#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper::model;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

StateSpace template_model(const char* type, const Parameters& parameters, const std::vector<double>& u) {
  ModelSettings s;
  s.name = s.type = type;
  s.time = TimeBase::continuous;
  s.parameters = parameters;
  REQUIRE(complete(s).empty());
  for (std::size_t j = 0; j < u.size(); ++j) s.inputs[j].nominal = u[j];
  for (auto& output : s.outputs) output.noise_std = 0.01;
  Rows Q(s.states.size(), std::vector<double>(s.states.size(), 0.0));
  for (std::size_t i = 0; i < Q.size(); ++i) Q[i][i] = 1e-6;
  s.noise.Q = Q;
  return built(s, 1.0);
}

// The state after one period from the operating point.
VectorXd followed(const Dynamics& dynamics, const StateSpace& model) {
  constexpr int kParts = 400;
  VectorXd x = model.x_op;
  VectorXd f(model.n_x());
  MatrixXd F(model.n_x(), model.n_x());
  MatrixXd G(model.n_x(), model.n_u());
  const double h = model.sample_time / kParts;
  for (int i = 0; i < kParts; ++i) {  // midpoint
    dynamics.evaluate(x, model.u_op, f, F, G);
    const VectorXd middle = x + 0.5 * h * f;
    dynamics.evaluate(middle, model.u_op, f, F, G);
    x += h * f;
  }
  return x;
}

}  // namespace

TEST_CASE("A parameter's effect is what the equations make of a small change of it") {
  struct Case {
    const char* type;
    Parameters parameters;
    std::vector<double> u;
    std::vector<std::string> names;
  };
  const std::vector<Case> cases{
      {"two_tank",
       {{"A1", 0.0028, ""}, {"A2", 0.0032, ""}, {"a1", 1.2e-5, ""}, {"a2", 1.2e-5, ""}, {"k_pump", 6.239e-6, ""}},
       {3.0},
       {"a1", "a2", "k_pump"}},
      {"first_order_thermal", {{"C", 850.0, ""}, {"R", 0.4, ""}}, {200.0, 20.0}, {"R"}},
  };
  for (const Case& sample : cases) {
    INFO(sample.type);
    const StateSpace model = template_model(sample.type, sample.parameters, sample.u);
    const auto effects = parameter_effects(model);
    std::vector<std::string> names;
    for (const auto& effect : effects) names.push_back(effect.name);
    for (const auto& name : sample.names) CHECK(std::find(names.begin(), names.end(), name) != names.end());
    CHECK(std::find(names.begin(), names.end(), "A1") == names.end());
    for (const auto& effect : effects) {
      INFO(effect.name);
      const auto changed = model.dynamics->clone();
      const double step = 1e-4 * effect.value;
      REQUIRE(changed->set_parameter(effect.name, effect.value + step).ok());
      const VectorXd moved = (followed(*changed, model) - followed(*model.dynamics, model)) / step;
      CHECK((moved - effect.b).norm() < 2e-3 * effect.b.norm());
      CHECK(effect.c.isZero(0.0));
    }
  }
}

TEST_CASE("Only templates have parameters whose changes are looked for") {
  CHECK(parameter_effects(built(two_tank_settings())).empty());
}

TEST_CASE("Signatures of parameters stand behind those of the states") {
  const StateSpace model = template_model("first_order_thermal", {{"C", 850.0, ""}, {"R", 0.4, ""}}, {200.0, 20.0});
  const auto steady = steady_state(model);
  REQUIRE(steady.ok());
  const auto faults = fault_signatures(model, steady.value(), {0});
  std::vector<std::string> names;
  for (const auto& fault : faults) names.push_back(fault.name);
  const std::string output = model.outputs[0].name;
  const std::string state = model.states[0].name;
  CHECK(names == std::vector<std::string>{output + ".bias", model.inputs[0].name + ".fault",
                                          model.inputs[1].name + ".fault", state + ".disturbance", "R.change",
                                          "eta.change", output + ".drift"});
}
