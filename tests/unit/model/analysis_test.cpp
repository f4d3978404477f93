#include "twinkeeper/model/analysis.hpp"

#include <cmath>
#include <random>

#include "random_models.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::model;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {}  // namespace

TEST_CASE("steady_state solves its Riccati equation for random models with full R and S") {
  std::mt19937_64 engine(1);
  for (int round = 0; round < 100; ++round) {
    const Eigen::Index n = 1 + round % 12;
    const Eigen::Index p = 1 + round % 4;
    const StateSpace model = random_model(engine, n, p, round % 2 == 0 ? 0.9 : 1.2);
    const auto result = steady_state(model);
    REQUIRE(result.ok());
    const SteadyState& s = result.value();
    const MatrixXd next = model.A * s.P * model.A.transpose() + model.Q - s.K * s.Sigma * s.K.transpose();
    CHECK((next - s.P).norm() <= 1e-10 * s.P.norm());
    CHECK(spectral_radius(model.A - s.K * model.C) < 1.0);
    CHECK((s.P_post - (s.P - s.M * s.Sigma * s.M.transpose())).norm() <= 1e-10 * s.P.norm());
  }
}

TEST_CASE("steady_state has the closed form of a scalar random walk") {
  ModelSettings s = two_tank_settings();
  s.states = {{"level", "m", {}, {}, {}, {}}};
  s.inputs.clear();
  s.outputs = {{"level", "m", {}, 2.0, {}}};
  s.A = {{1.0}};
  s.B.clear();
  s.C = {{1.0}};
  s.noise.Q = Rows{{0.09}};
  const auto result = steady_state(built(s));
  REQUIRE(result.ok());
  const double q = 0.09;
  const double r = 4.0;
  const double P = 0.5 * (q + std::sqrt(q * q + 4.0 * q * r));
  CHECK(result.value().P(0, 0) == Approx(P).epsilon(1e-13));
  CHECK(result.value().M(0, 0) == Approx(P / (P + r)).epsilon(1e-13));
}

TEST_CASE("steady_state of the innovations form is the given gain with P exactly zero") {
  ModelSettings s = two_tank_settings();
  s.noise = {};
  s.noise.K = Rows{{0.1, 0.0}, {0.02, 0.3}};
  s.noise.Ry = Rows{{1e-4, 2e-5}, {2e-5, 3e-4}};
  const auto result = steady_state(built(s));
  REQUIRE(result.ok());
  CHECK(result.value().P.isZero(0.0));
  CHECK(result.value().K(1, 1) == Approx(0.3).epsilon(1e-13));
  CHECK(result.value().Sigma(0, 1) == Approx(2e-5).epsilon(1e-13));
}

TEST_CASE("detectability names the states of a hidden mode and tells decaying from lasting ones") {
  ModelSettings s = two_tank_settings();
  s.C = {{1.0, 0.0}, {2.0, 0.0}};  // tank 2 hangs on tank 1 and no output looks at it
  const Detectability decaying = detectability(built(s));
  CHECK_FALSE(decaying.observable);
  CHECK(decaying.detectable);
  CHECK(decaying.unobservable_states == std::vector<std::string>{"level_2"});

  s.A[1][1] = 1.0;  // now it integrates
  const Detectability lasting = detectability(built(s));
  CHECK_FALSE(lasting.detectable);
  CHECK(lasting.undetectable_states == std::vector<std::string>{"level_2"});
  const auto result = steady_state(built(s));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message().find("level_2") != std::string::npos);
}

TEST_CASE("detectability of a whole model finds nothing hidden whatever the units of its states") {
  for (const double unit : {1e-9, 1.0, 1e9}) {
    ModelSettings s = two_tank_settings();
    s.A = {{0.98, 0.0}, {0.02 * unit, 0.97}};
    s.C = {{0.0, 1.0 / unit}, {0.0, 1.0 / unit}};
    CHECK(detectability(built(s)).observable);
  }
}

TEST_CASE("steady_state is refused for a lasting state without process noise and names the reason") {
  ModelSettings s = two_tank_settings();
  s.A = {{1.0, 0.0}, {0.02, 0.97}};
  s.noise.Q = Rows{{0.0, 0.0}, {0.0, 1e-6}};
  const auto result = steady_state(built(s));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message().find("no process noise") != std::string::npos);
}

TEST_CASE("steady_state with some outputs only equals that of the model cut down to them") {
  std::mt19937_64 engine(2);
  const StateSpace whole = random_model(engine, 5, 3, 0.95);
  StateSpace part = whole;
  part.C = whole.C.bottomRows(2);
  part.R = whole.R.bottomRightCorner(2, 2);
  part.S = whole.S.rightCols(2);
  const auto left = steady_state(whole, {1, 2});
  const auto right = steady_state(part);
  REQUIRE(left.ok());
  REQUIRE(right.ok());
  CHECK((left.value().P - right.value().P).norm() <= 1e-12 * right.value().P.norm());
  CHECK((left.value().K - right.value().K).norm() <= 1e-12 * right.value().K.norm());
}

TEST_CASE("poles are told slowest first as time constants and periods") {
  ModelSettings s = two_tank_settings();
  std::vector<Pole> found = poles(built(s));
  REQUIRE(found.size() == 2);
  CHECK(found[0].time_constant == Approx(-0.1 / std::log(0.98)));
  CHECK(found[1].time_constant == Approx(-0.1 / std::log(0.97)));
  CHECK(std::isinf(found[0].period));

  s.A = {{0.0, -0.81}, {1.0, 0.0}};  // λ = ±0.9 i: a quarter turn a step
  found = poles(built(s));
  CHECK(found[0].period == Approx(0.4));
  CHECK(found[0].magnitude == Approx(0.9));
}

TEST_CASE("steady_state_gain is what a long step response comes to and absent for an integrator") {
  ModelSettings s = two_tank_settings();
  const auto gain = steady_state_gain(built(s));
  REQUIRE(gain.has_value());
  CHECK((*gain)(0, 0) == Approx(0.01 / 0.02));
  CHECK((*gain)(1, 0) == Approx(0.01 / 0.02 * 0.02 / 0.03));
  s.A[0][0] = 1.0;
  CHECK_FALSE(steady_state_gain(built(s)).has_value());
}
