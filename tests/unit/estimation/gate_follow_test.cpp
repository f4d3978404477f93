// How a machine that has moved is followed: through the lag of a sensor, and not by what the model is augmented with.
#include <chrono>
#include <cmath>

#include "model/augment.hpp"
#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/discretise.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

const VectorXd kNoInput = VectorXd::Zero(1);

// A furnace's core, 100 s, and a sensor that lags by 12 s; only the core has process noise.
model::StateSpace furnace() {
  MatrixXd F(2, 2);
  F << -1.0 / 100.0, 0.0, 1.0 / 12.0, -1.0 / 12.0;
  MatrixXd G(2, 1);
  G << 0.05, 0.0;
  MatrixXd W = MatrixXd::Zero(2, 2);
  W(0, 0) = 1e-4;
  const model::Discretised step = model::discretise(F, G, W, VectorXd::Zero(2), 1.0);
  model::StateSpace model = lags(2);
  model.sample_time = 1.0;
  model.A = step.A;
  model.B = step.B;
  model.Q = step.Q;
  model.C = MatrixXd::Zero(1, 2);
  model.C(0, 1) = 1.0;
  model.D = MatrixXd::Zero(1, 1);
  model.R = MatrixXd::Constant(1, 1, 0.01);
  model.S = MatrixXd::Zero(2, 1);
  model.outputs.resize(1);
  model.y_op = VectorXd::Zero(1);
  return model;
}

}  // namespace

TEST_CASE("A jump that a lagged sensor shows is followed and the twin is never lost by it") {
  const model::StateSpace model = furnace();
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    for (const bool of_the_machine : {true, false}) {
      CAPTURE(seed, of_the_machine);
      Twin twin = make_twin(model);
      TwinStep out = twin.make_record();
      Plant plant(model, seed, VectorXd::Zero(2));
      for (int k = 0; k < 300; ++k) twin.step(frame_of(kNoInput, plant.step(kNoInput), k), out);
      REQUIRE(out.mode == Mode::tracking);
      const VectorXd moved = VectorXd::Constant(2, 5.0);
      if (of_the_machine) plant = Plant(model, 100 + seed, model.A * plant.x() + moved);
      int fused = 0;
      for (int k = 300; k < 1000; ++k) {
        const VectorXd y = plant.step(kNoInput) + VectorXd::Constant(1, of_the_machine ? 0.0 : 5.0);
        twin.step(frame_of(kNoInput, y, k), out);
        CAPTURE(k, out.outputs[0].test_ratio);
        REQUIRE(out.mode != Mode::lost);
        REQUIRE(out.mode != Mode::initializing);
        REQUIRE(std::abs(out.x[0]) < 50.0);
        fused = out.outputs[0].fused ? fused + 1 : 0;
        if (of_the_machine && k >= 345) {
          REQUIRE(out.outputs[0].fused);
          REQUIRE(std::abs(out.x[1] - plant.x()(1)) < 5.0 * out.std[1]);
          REQUIRE(std::abs(out.x[0] - plant.x()(0)) < 5.0 * out.std[0]);
        }
      }
      CHECK(fused > 0);
      CHECK(twin.counters().rolled_back_steps == 0);
      if (of_the_machine) CHECK(out.mode == Mode::tracking);
    }
  }
}

TEST_CASE("A bias of a sensor takes nothing of a jump of the machine") {
  model::StateSpace model = lags(1);
  model.A(0, 0) = 1.0;
  model::AugmentSettings bias;
  bias.kind = model::AugmentKind::sensor_bias;
  bias.output = "y1";
  bias.time_constant = 100s;
  bias.std = 0.1;
  bias.initial = 0.0;
  bias.initial_std = 0.1;
  model::augment(model, {bias}, false);
  model::augment_initial(model);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  std::mt19937_64 engine(5);
  VectorXd moved = VectorXd::Zero(1);
  for (int k = 0; k < 2000; ++k) {
    if (k == 1000) moved(0) = 5.0;
    twin.step(frame_of(kNoInput, moved + 0.1 * random_matrix(engine, 1, 1), k), out);
    CAPTURE(k);
    REQUIRE(std::abs(out.x[1]) < 0.3);
  }
  CHECK(out.outputs[0].fused);
  CHECK(out.x[0] == Approx(5.0).margin(0.5));
}
