#include "twinkeeper/model/hold.hpp"

#include <cmath>

#include "random_models.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/input_delay.hpp"

using namespace twinkeeper::model;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

struct Ramps {
  MatrixXd A, first, second;  // x(k+1) = A x(k) + first u(k) + second u(k+1)
};

Discretised held(const MatrixXd& F, const MatrixXd& G, double period) {
  return discretise(F, G, MatrixXd::Zero(F.rows(), F.rows()), VectorXd::Zero(F.rows()), period);
}

Ramps ramps(const MatrixXd& F, const MatrixXd& G, double period) {
  const Discretised zoh = held(F, G, period);
  const FirstOrderHold hold = first_order_hold(F, G, period, zoh);
  return {zoh.A, hold.B - zoh.A * hold.offset, hold.offset};
}

// The same by another way: the input and its slope as states of one larger system.
Ramps ramps_by_states(const MatrixXd& F, const MatrixXd& G, double period) {
  const Index n = F.rows();
  const Index m = G.cols();
  MatrixXd larger = MatrixXd::Zero(n + 2 * m, n + 2 * m);
  larger.topLeftCorner(n, n) = F;
  larger.block(0, n, n, m) = G;
  larger.block(n, n + m, m, m).setIdentity();
  const MatrixXd A = held(larger, MatrixXd::Zero(n + 2 * m, 1), period).A;
  const MatrixXd of_value = A.block(0, n, n, m);
  const MatrixXd of_slope = A.block(0, n + m, n, m);
  return {A.topLeftCorner(n, n), of_value - of_slope / period, of_slope / period};
}

double held_apart(const MatrixXd& left, const MatrixXd& right) {
  return (left - right).cwiseAbs().maxCoeff() / std::max(1e-300, right.cwiseAbs().maxCoeff());
}

ModelSettings continuous_settings() {
  ModelSettings settings = two_lags_settings();
  settings.discretization = Discretization::foh;
  return settings;
}

}  // namespace

TEST_CASE("first_order_hold agrees with the closed form of a first-order lag from slow to very stiff") {
  for (const double product : {1e-9, 1e-3, 0.3, 1.0, 7.0, 50.0, 500.0, 1e6}) {
    CAPTURE(product);
    const double period = 0.5;
    const double f = -product / period;
    const MatrixXd F = MatrixXd::Constant(1, 1, f);
    const MatrixXd G = MatrixXd::Constant(1, 1, 3.0);
    const FirstOrderHold hold = first_order_hold(F, G, period, held(F, G, period));
    // Γ₁ = 3 ((p − 1) e^p + 1) / (f² Ts) and Γ₂ = 3 (e^p − 1 − p) / (f² Ts) with p = f Ts; series where these cancel.
    const long double p = static_cast<long double>(f) * period;
    long double first = 0.0L, second = 0.0L;
    if (product < 2.0) {
      long double power = 3.0L * period;  // 3 Ts p^k / k!
      for (int k = 0; k < 60; ++k) {
        first += power / (k + 2);
        second += power / ((k + 1) * (k + 2));
        power *= p / (k + 1);
      }
    } else {
      const long double scale = 3.0L / (static_cast<long double>(f) * f * period);
      first = scale * ((p - 1.0L) * std::exp(p) + 1.0L);
      second = scale * (std::exp(p) - 1.0L - p);
    }
    CHECK(hold.offset(0, 0) == Approx(static_cast<double>(second)).epsilon(1e-13));
    CHECK(hold.B(0, 0) == Approx(static_cast<double>(first + std::exp(p) * second)).epsilon(1e-13));
  }
}

TEST_CASE("first_order_hold gives the double integrator and the oscillator") {
  const double T = 0.1;
  MatrixXd F(2, 2), G(2, 1);
  F << 0, 1, 0, 0;
  G << 0, 1;
  Ramps step = ramps(F, G, T);
  CHECK((step.first - Eigen::Vector2d(T * T / 3, T / 2)).cwiseAbs().maxCoeff() < 1e-16);
  CHECK((step.second - Eigen::Vector2d(T * T / 6, T / 2)).cwiseAbs().maxCoeff() < 1e-16);

  const double w = 7.0;
  F << 0, w, -w, 0;
  step = ramps(F, G, T);
  // The response to the ramp t/T: x₁ = (t − sin(wt)/w)/(wT), x₂ = (1 − cos(wt))/(w²T).
  CHECK(step.second(0, 0) == Approx((T - std::sin(w * T) / w) / (w * T)).epsilon(1e-13));
  CHECK(step.second(1, 0) == Approx((1.0 - std::cos(w * T)) / (w * w * T)).epsilon(1e-13));
}

TEST_CASE("Ramps of random models are those of a model with the input and its slope as states") {
  std::mt19937_64 engine(31);
  for (int i = 0; i < 1000; ++i) {
    CAPTURE(i);
    const Index n = 1 + i % 8;
    const MatrixXd F = random_matrix(engine, n, n) * (0.1 + 0.003 * i);
    const MatrixXd G = random_matrix(engine, n, 1 + i % 3);
    const Ramps step = ramps(F, G, 0.7);
    const Ramps other = ramps_by_states(F, G, 0.7);
    const MatrixXd whole = held(F, G, 0.7).B;
    const double size = step.A.norm() * step.second.norm() + whole.norm();  // of what `first` is a difference of
    REQUIRE(held_apart(step.A, other.A) < 1e-12);
    REQUIRE((step.first - other.first).norm() < 1e-12 * size);
    REQUIRE((step.second - other.second).norm() < 1e-12 * size);
    REQUIRE((step.first + step.second - whole).norm() < 1e-13 * size);
  }
}

TEST_CASE("Two half steps of a ramp are one whole step of it") {
  std::mt19937_64 engine(32);
  for (int i = 0; i < 1000; ++i) {
    CAPTURE(i);
    const Index n = 1 + i % 8;
    const MatrixXd F = random_matrix(engine, n, n) - (i % 50) * MatrixXd::Identity(n, n);
    const MatrixXd G = random_matrix(engine, n, 2);
    const VectorXd x = random_matrix(engine, n, 1);
    const VectorXd from = random_matrix(engine, 2, 1);
    const VectorXd to = random_matrix(engine, 2, 1);
    const VectorXd middle = 0.5 * (from + to);
    const Ramps whole = ramps(F, G, 0.5);
    const Ramps half = ramps(F, G, 0.25);
    const VectorXd at_half = half.A * x + half.first * from + half.second * middle;
    const VectorXd twice = half.A * at_half + half.first * middle + half.second * to;
    const VectorXd once = whole.A * x + whole.first * from + whole.second * to;
    REQUIRE((twice - once).norm() <= 1e-12 * (whole.A.norm() * x.norm() + once.norm()));
  }
}

TEST_CASE("A built model with foh answers a ramp as its equations do, by way of z") {
  const StateSpace model = built(continuous_settings(), 0.1);
  ModelSettings zoh_settings = continuous_settings();
  zoh_settings.discretization = Discretization::zoh;
  const StateSpace zoh = built(zoh_settings, 0.1);
  CHECK(model.foh());
  CHECK_FALSE(zoh.foh());
  CHECK(model.A == zoh.A);
  CHECK(model.Q == zoh.Q);
  CHECK(model.feed_through() == zoh.D);
  CHECK(model.hold_offset.rows() == 2);

  // A thousand held steps to each of its own come close to the ramp: the error of a staircase is half a step of it.
  const StateSpace fine = built(zoh_settings, 1e-4);
  VectorXd u(2), before(2);
  before << 1.0, -2.0;
  VectorXd x = VectorXd::Zero(2);
  VectorXd z = x - model.hold_offset * before;
  std::mt19937_64 engine(33);
  for (int k = 0; k < 20; ++k) {
    CHECK(((model.C * z + model.D * before) - (zoh.C * x + zoh.D * before)).norm() < 1e-6);
    u = random_matrix(engine, 2, 1);
    for (int i = 0; i < 1000; ++i) x = (fine.A * x + fine.B * (before + (i + 0.5) / 1000.0 * (u - before))).eval();
    z = (model.A * z + model.B * before).eval();
    before = u;
    CHECK((z + model.hold_offset * u - x).norm() < 1e-6);
  }
  // In the long run a constant input does the same in both.
  CHECK((*steady_state_gain(model) - *steady_state_gain(zoh)).norm() < 1e-12);
}

TEST_CASE("foh is refused where it has no meaning") {
  const auto issues_of = [](const ModelSettings& settings, const std::vector<double>& dead_times) {
    const Built refused = build(settings, 0.1, dead_times);
    REQUIRE(std::holds_alternative<twinkeeper::base::Issues>(refused));
    return std::get<twinkeeper::base::Issues>(refused);
  };
  ModelSettings discrete = two_tank_settings();
  discrete.discretization = Discretization::foh;
  CHECK(issues_of(discrete, {})[0].path == "model.discretization");

  ModelSettings tanks;
  tanks.name = "tanks";
  tanks.type = "two_tank";
  tanks.time = TimeBase::continuous;
  tanks.discretization = Discretization::foh;
  tanks.noise.Q = Rows{{1e-6, 0.0}, {0.0, 1e-6}};
  bool told = false;
  for (const auto& issue : issues_of(tanks, {})) told = told || issue.path == "model.discretization";
  CHECK(told);

  // Dead times: whole steps only, since the bend of the ramp would lie within a step.
  CHECK(issues_of(continuous_settings(), {0.25, 0.0})[0].path == "model.inputs[0]");
  CHECK(std::holds_alternative<StateSpace>(build(continuous_settings(), 0.1, {0.2, 0.0})));

  ModelSettings autonomous = continuous_settings();
  autonomous.inputs.clear();
  autonomous.B.clear();
  autonomous.D.clear();
  CHECK_FALSE(built(autonomous, 0.1).foh());
}

TEST_CASE("A linear template may have foh") {
  ModelSettings oven;
  oven.name = "oven";
  oven.type = "first_order_thermal";
  oven.time = TimeBase::continuous;
  oven.parameters = {{"C", 850.0, ""}, {"R", 0.4, ""}};
  oven.outputs.push_back({"T", "degC", {}, 0.1, {}});
  oven.noise.Q = Rows{{1e-4}};
  const StateSpace held_inputs = built(oven, 10.0);
  oven.discretization = Discretization::foh;
  const StateSpace model = built(oven, 10.0);
  REQUIRE(model.foh());
  const double pole = -1.0 / (850.0 * 0.4);
  const double p = pole * 10.0;
  CHECK(model.hold_offset(0, 0) == Approx((std::expm1(p) - p) / (pole * pole * 10.0) / 850.0).epsilon(1e-11));
  CHECK(model.A == held_inputs.A);
}
