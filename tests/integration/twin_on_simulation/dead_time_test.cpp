// A plant whose input arrives late, and the twin that knows it.
#include <random>

#include "simulation/plant.hpp"
#include "support/catch.hpp"
#include "twin_beside_plant.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

model::StateSpace plant_model(const std::vector<double>& dead_times) {
  model::ModelSettings settings;
  settings.name = "oven";
  settings.time = model::TimeBase::continuous;
  settings.states.push_back({"T", "degC", 0.0, 0.1, {}, {}});
  settings.inputs.push_back({"heater", "", {}, {}, {}});
  settings.outputs.push_back({"T", "degC", {}, 0.02, {}});
  settings.A = {{-0.5}};
  settings.B = {{1.0}};
  settings.C = {{1.0}};
  settings.noise.Q = model::Rows{{1e-4}};
  return std::get<model::StateSpace>(model::build(settings, 0.1, dead_times));
}

// Mean NIS over a run in which the input jumps about; `dead_times` are the twin's, the plant's are 0.37 s.
double mean_nis(const std::vector<double>& dead_times) {
  simulation::Plant plant(plant_model({0.37}), base::Random(5));
  std::mt19937_64 engine(6);
  double nis = 0.0;
  test::run_beside(
      plant, plant_model(dead_times), Eigen::VectorXd::Zero(1),
      [&](int k, Eigen::VectorXd& u) {
        if (k % 7 == 0) u(0) = std::normal_distribution<double>()(engine);
      },
      [&](const estimation::TwinStep& step) { nis += step.nis / test::kStepsBesidePlant; });
  return nis;
}

}  // namespace

TEST_CASE("A twin that knows the dead time of its input to a part of a step is consistent, one that rounds it is not") {
  CHECK(mean_nis({0.37}) == Approx(1.0).margin(0.05));
  CHECK(mean_nis({0.4}) > 1.2);
  CHECK(mean_nis({}) > 2.0);
}
