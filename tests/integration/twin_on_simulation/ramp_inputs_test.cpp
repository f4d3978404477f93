// A plant whose input runs linearly between the ticks, and the twin that knows it.
#include <random>

#include "simulation/plant.hpp"
#include "support/catch.hpp"
#include "twin_beside_plant.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

// An oven whose thermometer lags by 0.3 s.
model::StateSpace oven(model::Discretization hold) {
  model::ModelSettings settings;
  settings.name = "oven";
  settings.time = model::TimeBase::continuous;
  settings.discretization = hold;
  settings.states.push_back({"T", "degC", 20.0, 0.1, 0.0, 60.0});
  settings.inputs.push_back({"heater", "", 20.0, {}, {}});
  settings.outputs.push_back({"TT101", "degC", 20.0, 0.02, {}, 300ms});
  settings.A = {{-2.0}};
  settings.B = {{2.0}};
  settings.C = {{1.0}};
  settings.noise.Q = model::Rows{{1e-4}};
  settings.operating_point.x = {20.0};
  return std::get<model::StateSpace>(model::build(settings, 0.1));
}

struct Outcome {
  double nis = 0.0;
  double error = 0.0;  // of T, squared, over what the twin promises
  double lowest = 100.0, highest = 0.0;
};

// The plant has foh.
Outcome run(model::Discretization of_twin) {
  simulation::Plant plant(oven(model::Discretization::foh), base::Random(5));
  std::mt19937_64 engine(6);
  Outcome outcome;
  test::run_beside(
      plant, oven(of_twin), Eigen::VectorXd::Constant(1, 20.0),
      [&](int, Eigen::VectorXd& u) {
        u(0) += std::normal_distribution<double>(0.0, 0.2)(engine) + 0.01 * (20.0 - u(0));
      },
      [&](const estimation::TwinStep& step) {
        const double error = (step.x[0] - plant.x()(0)) / step.std[0];
        outcome.nis += step.nis / test::kStepsBesidePlant;
        outcome.error += error * error / test::kStepsBesidePlant;
        outcome.lowest = std::min(outcome.lowest, plant.x()(0));
        outcome.highest = std::max(outcome.highest, plant.x()(0));
      });
  return outcome;
}

}  // namespace

TEST_CASE("A twin with foh is consistent with a plant whose inputs run linearly, one with zoh is not") {
  const Outcome same = run(model::Discretization::foh);
  CHECK(same.nis == Approx(1.0).margin(0.03));
  CHECK(same.error == Approx(1.0).margin(0.1));
  CHECK(run(model::Discretization::zoh).nis > 1.2);
}

TEST_CASE("A plant with foh begins at its initial state and answers a step of its input with a ramp") {
  model::ModelSettings settings;
  settings.name = "tank";
  settings.time = model::TimeBase::continuous;
  settings.discretization = model::Discretization::foh;
  settings.states.push_back({"level", "m", 0.5, 0.0, 0.0, 1.0});
  settings.inputs.push_back({"inflow", "", {}, {}, {}});
  settings.outputs.push_back({"level", "m", {}, 1e-9, {}});
  settings.A = {{0.0}};
  settings.B = {{1.0}};
  settings.C = {{1.0}};
  settings.noise.Q = model::Rows{{0.0}};
  simulation::Plant plant(std::get<model::StateSpace>(model::build(settings, 0.1)), base::Random(1));
  const Eigen::VectorXd none = Eigen::VectorXd::Zero(1);
  const auto level = [&](double inflow) {
    plant.measure(Eigen::VectorXd::Constant(1, inflow));
    const double told = plant.x()(0);
    plant.advance(none);
    return told;
  };
  CHECK(level(1.0) == Approx(0.5));
  CHECK(level(1.0) == Approx(0.6));
  CHECK(level(3.0) == Approx(0.8));  // (1 + 3)/2 over 0.1 s
  CHECK(level(0.0) == Approx(0.95));
  CHECK(level(9.0) == 1.0);  // limited
  CHECK(level(-9.0) == Approx(1.0));
  CHECK(level(-9.0) == Approx(0.1));
}
