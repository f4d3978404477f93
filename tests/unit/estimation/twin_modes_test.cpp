#include <algorithm>
#include <cmath>
#include <string>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::VectorXd;

namespace {

const VectorXd kUnforced = VectorXd::Zero(1);

// Steps with quiet outputs, of which `fresh` ones are there; returns the mode of the last.
Mode run(Twin& twin, TwinStep& out, int steps, const std::vector<bool>& fresh) {
  for (int k = 0; k < steps; ++k) {
    signals::Frame frame = frame_of(kUnforced, VectorXd::Zero(static_cast<Eigen::Index>(fresh.size())), k);
    for (std::size_t i = 0; i < fresh.size(); ++i) frame.outputs[i].fresh = fresh[i];
    twin.step(frame, out);
  }
  return out.mode;
}

}  // namespace

TEST_CASE("A twin without initial state is initializing for ten steps or twice its states and tells no numbers") {
  for (const Eigen::Index n : {2, 8}) {
    model::StateSpace model = lags(n);
    model.initial.reset();
    Twin twin = make_twin(model);
    TwinStep out = twin.make_record();
    const int window = std::max(10, 2 * static_cast<int>(n));
    const VectorXd y = VectorXd::Constant(n, 3.0);
    for (int k = 0; k < window; ++k) {
      twin.step(frame_of(VectorXd::Constant(1, 3.0), y, k), out);
      REQUIRE(out.mode == Mode::initializing);
      REQUIRE(std::isnan(out.x[0]));
      REQUIRE(std::isnan(out.std[0]));
      REQUIRE(std::isnan(out.nis));
      REQUIRE(out.nis_dof == 0);
      REQUIRE(std::isnan(out.outputs[0].expected));
      REQUIRE(std::isnan(out.outputs[0].innovation));
      REQUIRE(std::isnan(out.outputs[0].std));
      REQUIRE(out.outputs[0].measured == 3.0);
    }
    twin.step(frame_of(VectorXd::Constant(1, 3.0), y, window), out);
    CHECK(out.mode != Mode::initializing);
    CHECK(out.outputs[0].expected == Approx(3.0).epsilon(1e-9));
  }
}

TEST_CASE("A twin goes on initializing while the outputs have not told enough") {
  model::StateSpace model = lags(2);
  model.initial.reset();
  Twin twin = make_twin(model);
  TwinStep out = twin.make_record();
  CHECK(run(twin, out, 25, {false, false}) == Mode::initializing);
  CHECK(run(twin, out, 2, {true, true}) != Mode::initializing);
}

TEST_CASE("A twin converges until the trace of P is twice its steady value") {
  model::StateSpace model = lags(2);
  model.initial_std = VectorXd::Constant(2, 1.0);
  const double steady = model::steady_state(model).value().P_post.trace();
  Twin twin = make_twin(model);
  TwinStep out = twin.make_record();
  int converging = 0;
  for (int k = 0; k < 100; ++k) {
    run(twin, out, 1, {true, true});
    const double trace = out.std[0] * out.std[0] + out.std[1] * out.std[1];
    REQUIRE(out.mode == (trace <= 2.0 * steady ? Mode::tracking : Mode::converging));
    converging += out.mode == Mode::converging;
  }
  CHECK(converging > 0);
  CHECK(converging < 100);
}

TEST_CASE("A twin with a slow sensor is tracking once its covariance has settled to its rhythm") {
  model::StateSpace model = lags(1);
  model.A(0, 0) = 1.0;
  TwinSettings settings;
  settings.intervals = {2s};
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  int last_converging = -1;
  for (int k = 0; k < 600; ++k) {
    run(twin, out, 1, {k % 20 == 0});
    if (out.mode == Mode::converging) last_converging = k;
  }
  CHECK(out.mode == Mode::tracking);
  CHECK(last_converging < 300);
}

TEST_CASE("A twin is degraded when one output is not fused for longer than its patience and predicts when none is") {
  Twin twin = make_twin(lags(2));
  TwinStep out = twin.make_record();
  CHECK(run(twin, out, 50, {true, true}) == Mode::tracking);
  CHECK(run(twin, out, 50, {true, false}) == Mode::tracking);  // unfused_limit is 5 s: 50 steps
  CHECK(run(twin, out, 1, {true, false}) == Mode::degraded);
  CHECK(run(twin, out, 50, {false, false}) == Mode::degraded);
  CHECK(run(twin, out, 1, {false, false}) == Mode::predict_only);
  CHECK(run(twin, out, 1, {true, true}) != Mode::predict_only);
  CHECK(run(twin, out, 50, {true, true}) == Mode::tracking);
}

TEST_CASE("A virtual output never makes a twin degraded") {
  TwinSettings settings;
  settings.mapped = {true, false};
  model::StateSpace model = lags(2);
  model.A(1, 0) = 0.05;
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  CHECK(run(twin, out, 300, {true, false}) == Mode::tracking);
}

TEST_CASE("An output that comes seldom has more patience") {
  TwinSettings settings;
  settings.intervals = {100ms, 10s};
  Twin twin = make_twin(lags(2), settings);
  TwinStep out = twin.make_record();
  run(twin, out, 50, {true, true});
  CHECK(run(twin, out, 500, {true, false}) == Mode::tracking);
  CHECK(run(twin, out, 1, {true, false}) == Mode::degraded);
}

TEST_CASE("A row that the gate rejects for long makes the twin degraded") {
  TwinSettings settings;
  settings.gate_timeout = 1h;
  Twin twin = make_twin(lags(2), settings);
  TwinStep out = twin.make_record();
  run(twin, out, 50, {true, true});
  for (int k = 0; k < 51; ++k) {
    VectorXd y = VectorXd::Zero(2);
    y(1) = 100.0;
    twin.step(frame_of(kUnforced, y), out);
  }
  CHECK(out.mode == Mode::degraded);
}

TEST_CASE("A twin whose standard deviation leaves half the state's range is lost until it comes back") {
  model::StateSpace model = lags(1);
  model.A(0, 0) = 1.0;
  model.states[0].limits = {-1.0, 1.0};
  Twin twin = make_twin(model);
  TwinStep out = twin.make_record();
  run(twin, out, 50, {true});
  int k = 0;
  while (run(twin, out, 1, {false}) != Mode::lost) {
    REQUIRE(out.std[0] <= 1.0);
    REQUIRE(++k < 20000);
  }
  CHECK(out.std[0] > 1.0);
  CHECK(run(twin, out, 1, {true}) != Mode::lost);
}

TEST_CASE("A step that gives no finite number is rolled back and told as lost and the twin starts anew") {
  for (const Noise noise : {Noise::independent, Noise::correlated, Noise::innovations}) {
    std::mt19937_64 engine(61);
    const model::StateSpace model = random_model(engine, 3, 1, 3, noise);
    Twin twin = make_twin(model);
    TwinStep out = twin.make_record();
    Plant plant(model, 62, VectorXd::Zero(3));
    for (int k = 0; k < 100; ++k) twin.step(frame_of(kUnforced, plant.step(kUnforced), k), out);
    signals::Frame frame = frame_of(kUnforced, plant.step(kUnforced));
    frame.inputs[0].value = 1.7e308;
    while (out.mode != Mode::lost) twin.step(frame, out);
    CHECK(twin.counters().rolled_back_steps == 1);
    for (const double x : out.x) CHECK(std::isfinite(x));
    for (const OutputStep& output : out.outputs) CHECK_FALSE(output.fused);
    for (int k = 0; k < 10; ++k) {
      twin.step(frame_of(kUnforced, plant.step(kUnforced)), out);
      REQUIRE(out.mode == Mode::initializing);
    }
    for (int k = 0; k < 300; ++k) twin.step(frame_of(kUnforced, plant.step(kUnforced)), out);
    CHECK(out.mode == Mode::tracking);
    CHECK(twin.counters().steps >= 411);
  }
}

TEST_CASE("A step that would put a state ten ranges away is rolled back and told as lost") {
  model::StateSpace model = lags(1);
  model.states[0].limits = {0.0, 2.0};
  model.initial = VectorXd::Constant(1, 1.0);
  model.initial_std = VectorXd::Constant(1, 1.0);
  TwinSettings settings;
  settings.gate.reset();
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  const VectorXd u = VectorXd::Constant(1, 1.0);
  twin.step(frame_of(u, VectorXd::Constant(1, 1.0)), out);
  const double before = out.x[0];
  twin.step(frame_of(u, VectorXd::Constant(1, 1e6)), out);
  CHECK(out.mode == Mode::lost);
  CHECK_FALSE(out.outputs[0].fused);
  CHECK(out.x[0] == Approx(before).margin(0.2));
  CHECK(twin.counters().rolled_back_steps == 1);
  // What is outside, but not beyond sense, is projected as ever.
  for (int k = 0; k < 40; ++k) twin.step(frame_of(u, VectorXd::Constant(1, 1.0)), out);
  twin.step(frame_of(u, VectorXd::Constant(1, 5.0)), out);
  CHECK(twin.counters().rolled_back_steps == 1);
}

TEST_CASE("A second roll-back during the new start does not stop the twin from coming back") {
  model::StateSpace model = lags(1);
  model.B(0, 0) = 10.0;
  Twin twin = make_twin(model);
  TwinStep out = twin.make_record();
  signals::Frame broken = frame_of(VectorXd::Constant(1, 1.7e308), VectorXd::Zero(1));
  for (int k = 0; k < 100; ++k) {
    twin.step(broken, out);
    for (const double x : out.x) REQUIRE((std::isfinite(x) || out.mode == Mode::initializing));
  }
  CHECK(twin.counters().rolled_back_steps > 0);
  for (int k = 0; k < 1000; ++k) twin.step(frame_of(kUnforced, VectorXd::Zero(1)), out);
  CHECK(out.mode == Mode::tracking);
}

TEST_CASE("Every mode has the name of the contract") {
  CHECK(to_string(Mode::initializing) == "initializing");
  CHECK(to_string(Mode::converging) == "converging");
  CHECK(to_string(Mode::tracking) == "tracking");
  CHECK(to_string(Mode::degraded) == "degraded");
  CHECK(to_string(Mode::predict_only) == "predict_only");
  CHECK(to_string(Mode::lost) == "lost");
}
