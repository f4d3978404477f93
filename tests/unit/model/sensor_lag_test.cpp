#include "model/sensor_lag.hpp"

#include <cmath>

#include "random_models.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::model;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;

namespace {

// Two outputs of two states; the second output shows both states and the input, and is lagged by 2 s.
ModelSettings lagged() {
  ModelSettings settings;
  settings.name = "furnace";
  settings.time = TimeBase::continuous;
  settings.states = {{"core", "degC", 52.0, 0.5, {}, {}}, {"wall", "degC", 41.0, 0.2, {}, {}}};
  settings.inputs.push_back({"heater", "%", {}, {}, {}});
  settings.outputs.push_back({"wall", "degC", {}, 0.1, {}});
  settings.outputs.push_back({"TT101", "degC", {}, 0.1, {}, 2s});
  settings.A = {{-0.5, 0.5}, {0.1, -0.3}};
  settings.B = {{0.2}, {0.0}};
  settings.C = {{0.0, 1.0}, {0.75, 0.25}};
  settings.D = {{0.0}, {0.125}};
  settings.noise.Q = Rows{{1e-2, 0.0}, {0.0, 1e-3}};
  settings.operating_point = {{50.0, 40.0}, {30.0}, {40.0, 47.5}};
  return settings;
}

// What a person would write who has no `lag`.
ModelSettings by_hand() {
  ModelSettings settings = lagged();
  settings.outputs[1].lag.reset();
  settings.states.push_back(
      {"TT101_sensor", "degC", 47.5 + 0.75 * 2.0 + 0.25 * 1.0, std::sqrt(0.375 * 0.375 + 0.05 * 0.05), {}, {}});
  settings.A = {{-0.5, 0.5, 0.0}, {0.1, -0.3, 0.0}, {0.375, 0.125, -0.5}};
  settings.B = {{0.2}, {0.0}, {0.0625}};
  settings.C = {{0.0, 1.0, 0.0}, {0.0, 0.0, 1.0}};
  settings.D = {{0.0}, {0.0}};
  settings.noise.Q = Rows{{1e-2, 0.0, 0.0}, {0.0, 1e-3, 0.0}, {0.0, 0.0, 0.0}};
  settings.operating_point.x.push_back(47.5);
  return settings;
}

}  // namespace

TEST_CASE("A sensor lag is the state that a person would write, discretised with the model") {
  for (const Discretization hold : {Discretization::zoh, Discretization::foh}) {
    ModelSettings short_form = lagged();
    ModelSettings long_form = by_hand();
    short_form.discretization = long_form.discretization = hold;
    const StateSpace model = built(short_form, 0.7);
    const StateSpace same = built(long_form, 0.7);
    CHECK(model.A == same.A);
    CHECK(model.B == same.B);
    CHECK(model.C == same.C);
    CHECK(model.D == same.D);
    CHECK(model.Q == same.Q);
    CHECK(model.R == same.R);
    CHECK(model.x_op == same.x_op);
    CHECK(model.hold_offset == same.hold_offset);
    CHECK((*model.initial - *same.initial).norm() < 1e-12);
    CHECK((*model.initial_std - *same.initial_std).norm() < 1e-12);
    REQUIRE(model.states.size() == 3);
    CHECK(model.states[2].name == "TT101_sensor");
    CHECK(model.states[2].unit == "degC");
  }
}

TEST_CASE("A lagged sensor comes to what it measures, with its time constant") {
  const StateSpace model = built(lagged(), 0.5);
  ModelSettings fast = lagged();
  fast.outputs[1].lag.reset();
  CHECK((*steady_state_gain(model) - *steady_state_gain(built(fast, 0.5))).norm() < 1e-12);
  CHECK(model.A(2, 2) == Approx(std::exp(-0.25)).epsilon(1e-14));
  CHECK(model.A.topRightCorner(2, 1).isZero(0.0));
  CHECK(detectability(model).observable);
}

TEST_CASE("Lags of random models leave the machine itself as it is") {
  std::mt19937_64 engine(41);
  for (int i = 0; i < 1000; ++i) {
    CAPTURE(i);
    const Index n = 1 + i % 6;
    const Index p = 1 + i % 3;
    ModelSettings settings;
    settings.name = "any";
    settings.time = TimeBase::continuous;
    for (Index j = 0; j < n; ++j) settings.states.push_back({"x" + std::to_string(j), "", {}, {}, {}, {}});
    settings.inputs.push_back({"u", "", {}, {}, {}});
    for (Index j = 0; j < p; ++j) settings.outputs.push_back({"y" + std::to_string(j), "", {}, 0.1, {}});
    settings.A = rows(random_matrix(engine, n, n) - 3.0 * MatrixXd::Identity(n, n));
    settings.B = rows(random_matrix(engine, n, 1));
    settings.C = rows(random_matrix(engine, p, n));
    settings.D = rows(random_matrix(engine, p, 1));
    settings.noise.Q = rows(MatrixXd::Identity(n, n));
    const StateSpace plain = built(settings, 0.3);
    Index lags = 0;
    for (Index j = 0; j < p; ++j) {
      if ((i + j) % 2 != 0) continue;
      settings.outputs[static_cast<std::size_t>(j)].lag = std::chrono::milliseconds{100 + 37 * i};
      ++lags;
    }
    const StateSpace model = built(settings, 0.3);
    REQUIRE(model.n_x() == n + lags);
    REQUIRE((model.A.topLeftCorner(n, n) - plain.A).norm() <= 1e-13 * plain.A.norm());
    REQUIRE((model.B.topRows(n) - plain.B).norm() <= 1e-13 * plain.B.norm());
    REQUIRE((model.Q.topLeftCorner(n, n) - plain.Q).norm() <= 1e-12 * plain.Q.norm());
    REQUIRE((*steady_state_gain(model) - *steady_state_gain(plain)).norm() <=
            1e-10 * (1.0 + steady_state_gain(plain)->norm()));
  }
}

TEST_CASE("A lag without initial states, operating point or D begins at zero and is estimated") {
  ModelSettings settings = lagged();
  for (auto& state : settings.states) state.initial = state.initial_std = std::nullopt;
  settings.operating_point = {};
  settings.outputs[1].nominal = 21.0;
  settings.D.clear();
  const StateSpace model = built(settings, 0.5);
  CHECK_FALSE(model.initial);
  CHECK(model.x_op(2) == 21.0);
  CHECK(model.D.isZero(0.0));
  CHECK(model.B(2, 0) > 0.0);  // by way of the core
}

TEST_CASE("Lags are refused where they have no meaning") {
  const auto issue_of = [](const ModelSettings& settings) {
    const Built refused = build(settings, settings.sample_time.value_or(0.1));
    REQUIRE(std::holds_alternative<twinkeeper::base::Issues>(refused));
    const auto& issues = std::get<twinkeeper::base::Issues>(refused);
    REQUIRE(issues.size() == 1);
    return issues[0];
  };
  ModelSettings discrete = two_tank_settings();
  discrete.outputs[1].lag = 2s;
  CHECK(issue_of(discrete).path == "model.outputs[1].lag");
  ModelSettings none = lagged();
  none.outputs[1].lag = 0s;
  CHECK(issue_of(none).path == "model.outputs[1].lag");
  ModelSettings taken = lagged();
  taken.states[1].name = "TT101_sensor";
  CHECK(issue_of(taken).what.find("states[1]") != std::string::npos);
  // Wrong shapes are told as they are written.
  ModelSettings wrong = lagged();
  wrong.C[1] = {1.0};
  const Built refused = build(wrong, 0.1);
  REQUIRE(std::holds_alternative<twinkeeper::base::Issues>(refused));
  CHECK(std::get<twinkeeper::base::Issues>(refused)[0].path == "model.C");
}

TEST_CASE("A missing standard deviation is told of the states of the file, not of a lag") {
  ModelSettings settings = lagged();
  settings.A = {{0.5, 0.0}, {0.0, -0.3}};  // core runs away, and no output shows it
  settings.C = {{0.0, 1.0}, {0.0, 1.0}};
  settings.states[1].initial_std.reset();
  const Built refused = build(settings, 0.1);
  REQUIRE(std::holds_alternative<twinkeeper::base::Issues>(refused));
  const auto& issues = std::get<twinkeeper::base::Issues>(refused);
  REQUIRE(issues.size() == 1);
  CHECK(issues[0].path == "model.states[1].initial_std");
  // Known of both states, it is known of the lag, though no state says where it begins.
  settings.states[0].initial.reset();
  settings.states[1].initial.reset();
  settings.states[1].initial_std = 0.2;
  CHECK((*built(settings, 0.1).initial_std)(2) == Approx(0.2));
}
