#include "simulation/plant.hpp"

#include <chrono>
#include <cmath>

#include "simulation/fault.hpp"
#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

// Noise of each step, recovered from what the plant does.
MatrixXd recovered_noise(Plant& plant, const VectorXd& u, int steps) {
  const model::StateSpace& m = plant.model();
  MatrixXd noise(m.n_x() + m.n_y(), steps);
  const VectorXd none = VectorXd::Zero(m.n_x());
  for (int k = 0; k < steps; ++k) {
    const VectorXd x = plant.x();
    const VectorXd y = plant.measure(u);
    plant.advance(none);
    noise.col(k).head(m.n_x()) = plant.x() - m.x_op - m.A * (x - m.x_op) - m.B * (u - m.u_op) - m.d;
    noise.col(k).tail(m.n_y()) = y - m.y_op - m.C * (x - m.x_op) - m.D * (u - m.u_op);
  }
  return noise;
}

void check_covariance(const MatrixXd& noise, const MatrixXd& expected) {
  const double n = static_cast<double>(noise.cols());
  const MatrixXd sample = noise * noise.transpose() / n;
  for (Eigen::Index i = 0; i < expected.rows(); ++i) {
    CHECK(std::abs(noise.row(i).mean()) < 4.5 * std::sqrt(expected(i, i) / n));
    for (Eigen::Index j = 0; j < expected.cols(); ++j) {
      // Variance of a sample covariance of normal numbers: (Σii Σjj + Σij²) / n.
      const double spread = std::sqrt((expected(i, i) * expected(j, j) + expected(i, j) * expected(i, j)) / n);
      CHECK(std::abs(sample(i, j) - expected(i, j)) <= 4.5 * spread);
    }
  }
}

MatrixXd joint(const model::StateSpace& m) {
  MatrixXd all(m.n_x() + m.n_y(), m.n_x() + m.n_y());
  all << m.Q, m.S, m.S.transpose(), m.R;
  return all;
}

}  // namespace

TEST_CASE("Plant noise has the covariance of the model with Q and R and S") {
  Plant plant(fixtures::built(fixtures::tank_settings()), base::Random(1, "noise"));
  const MatrixXd noise = recovered_noise(plant, VectorXd::Constant(1, 3.2), 50000);
  check_covariance(noise, joint(plant.model()));
  // White: the next step's noise knows nothing of this one's.
  const double n = 49999.0;
  const MatrixXd lagged = noise.leftCols(49999) * noise.rightCols(49999).transpose() / n;
  for (Eigen::Index i = 0; i < 4; ++i) {
    for (Eigen::Index j = 0; j < 4; ++j) {
      const MatrixXd all = joint(plant.model());
      CHECK(std::abs(lagged(i, j)) < 4.5 * std::sqrt(all(i, i) * all(j, j) / n));
    }
  }
}

TEST_CASE("Plant noise keeps small variances beside large ones and accepts singular covariances") {
  model::ModelSettings s = fixtures::tank_settings();
  s.states[0] = {"a", "", 0.0, {}, {}, {}};
  s.states[1] = {"b", "", 0.0, {}, {}, {}};
  s.outputs = {{"a", "", {}, {}, {}}, {"b", "", {}, {}, {}}};
  s.operating_point = {};
  s.noise.Q = {{1e-14, 1e-8}, {1e-8, 1e-2}};  // one source of noise moves both states
  s.noise.R = {{1e4, 0.0}, {0.0, 1e-10}};
  s.noise.S = {};
  s.operating_point.u = {3.0};
  Plant plant(fixtures::built(s), base::Random(2, "noise"));
  const MatrixXd noise = recovered_noise(plant, VectorXd::Constant(1, 3.0), 20000);
  const double n = 20000.0;
  CHECK(noise.row(0).squaredNorm() / n == Approx(1e-14).epsilon(0.05));
  CHECK(noise.row(3).squaredNorm() / n == Approx(1e-10).epsilon(0.05));
  CHECK(noise.row(0).dot(noise.row(1)) / n == Approx(1e-8).epsilon(0.05));
}

TEST_CASE("A stiff continuous plant settles on its stationary covariance") {
  model::ModelSettings s;
  s.name = "stiff";
  s.time = model::TimeBase::continuous;
  s.states = {{"fast", "", 0.0, {}, {}, {}}, {"slow", "", 0.0, {}, {}, {}}};
  s.outputs = {{"fast", "", {}, {}, {}}, {"slow", "", {}, {}, {}}};
  s.A = {{-5000.0, 0.0}, {0.0, -2.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.Q = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.R = {{1e-6, 0.0}, {0.0, 1e-6}};
  Plant plant(fixtures::built(s, 0.1), base::Random(3, "noise"));
  const VectorXd none = VectorXd::Zero(2);
  const VectorXd u(0);
  VectorXd square = VectorXd::Zero(2);
  constexpr int kSteps = 100000;
  for (int k = 0; k < kSteps; ++k) {
    plant.measure(u);
    plant.advance(none);
    square += plant.x().cwiseAbs2();
  }
  CHECK(square[0] / kSteps == Approx(1.0 / 10000.0).epsilon(0.03));  // spectral density / (2 · rate)
  CHECK(square[1] / kSteps == Approx(1.0 / 4.0).epsilon(0.05));
}

TEST_CASE("A plant with the same seed repeats itself bit by bit") {
  auto run = [](std::uint64_t seed) {
    Plant plant(fixtures::built(fixtures::tank_settings()), base::Random(seed, "noise tanks"));
    const VectorXd u = VectorXd::Constant(1, 3.0);
    std::vector<double> all;
    for (int k = 0; k < 200; ++k) {
      const VectorXd y = plant.measure(u);
      all.insert(all.end(), {y[0], y[1], plant.x()[0], plant.x()[1]});
      plant.advance(VectorXd::Zero(2));
    }
    return all;
  };
  CHECK(run(9) == run(9));
  CHECK(run(9) != run(10));
}

TEST_CASE("A plant starts at its initial state and at the operating point without one") {
  CHECK(Plant(fixtures::built(fixtures::tank_settings()), base::Random(1)).x() == Eigen::Vector2d(0.15, 0.12));
  model::ModelSettings s = fixtures::tank_settings();
  for (auto& state : s.states) state.initial = state.initial_std = {};
  CHECK(Plant(fixtures::built(s), base::Random(1)).x() == Eigen::Vector2d(0.124, 0.124));
}

TEST_CASE("A disturbance adds its rate times the sample time per step and state limits hold") {
  const model::StateSpace model = fixtures::built(fixtures::tank_settings());
  Plant calm(model, base::Random(4));
  Plant leaking(model, base::Random(4));
  const VectorXd u = VectorXd::Constant(1, 3.0);
  calm.measure(u);
  leaking.measure(u);
  calm.advance(VectorXd::Zero(2));
  leaking.advance(Eigen::Vector2d(-0.02, 0.0));
  CHECK(leaking.x()[0] - calm.x()[0] == Approx(-0.002).epsilon(1e-9));
  CHECK(leaking.x()[1] == calm.x()[1]);
  for (int k = 0; k < 100; ++k) {
    leaking.measure(u);
    leaking.advance(Eigen::Vector2d(-1.0, 1.0));
    REQUIRE(leaking.x()[0] >= 0.0);
    REQUIRE(leaking.x()[1] <= 0.3);
  }
  CHECK(leaking.x()[0] == 0.0);
  CHECK(leaking.x()[1] == 0.3);
}

TEST_CASE("The plant of a nonlinear template follows its equations, not their linearisation") {
  Plant plant(fixtures::built(fixtures::two_tank_settings(), 1.0), base::Random(5, "noise"));
  const auto dynamics = plant.model().dynamics;
  VectorXd x = plant.x();
  VectorXd f = x;
  MatrixXd F(2, 2), G(2, 1);
  const VectorXd u = VectorXd::Constant(1, 5.0);  // the first tank comes to overflow
  double most = 0.0;
  for (int k = 0; k < 300; ++k) {
    plant.measure(u);
    plant.advance(VectorXd::Zero(2));
    for (int i = 0; i < 10'000; ++i) {
      dynamics->evaluate(x, u, f, F, G);
      x += f * 1e-4;
    }
    most = std::max(most, (plant.x() - x).cwiseAbs().maxCoeff());
  }
  CHECK(x(0) > 0.2);
  CHECK(most < 1e-4);  // what the step across the rim costs; elsewhere a hundredth of it
  CHECK((plant.x() - x).cwiseAbs().maxCoeff() < 2e-6);
}

TEST_CASE("A parameter that changes leads the plant to where its equations then rest") {
  Plant plant(fixtures::built(fixtures::two_tank_settings(), 1.0), base::Random(6, "noise"));
  const VectorXd u = VectorXd::Constant(1, 3.0);
  const VectorXd none = VectorXd::Zero(2);
  CHECK(plant.set_parameter("a3", 1.0).error().code() == base::ErrorCode::not_found);
  REQUIRE(plant.set_parameter("a2", 10e-6).ok());
  for (int k = 0; k < 2000; ++k) {
    plant.measure(u);
    plant.advance(none);
  }
  const double flow = 3.0 * 6.239e-6;
  CHECK(std::abs(plant.x()(0) - std::pow(flow / 12e-6, 2) / (2 * 9.80665)) < 1e-5);
  CHECK(std::abs(plant.x()(1) - std::pow(flow / 10e-6, 2) / (2 * 9.80665)) < 1e-5);
  Plant plain(fixtures::built(fixtures::tank_settings()), base::Random(6, "noise"));
  CHECK_FALSE(plain.set_parameter("a2", 1.0).ok());
}

TEST_CASE("A linear template is simulated by its matrices until a parameter changes, and goes on from there") {
  model::ModelSettings settings;
  settings.name = settings.type = "first_order_thermal";
  settings.time = model::TimeBase::continuous;
  settings.parameters = {{"C", 10.0, ""}, {"R", 2.0, ""}};
  settings.states = {{"T", "", 20.0, 1.0, {}, {}}};
  settings.outputs = {{"T", "", {}, 0.1, {}}};
  settings.noise.Q = model::Rows{{1e-20}};
  const model::StateSpace model = fixtures::built(settings, 1.0);
  Plant plant(model, base::Random(7, "noise"));
  VectorXd u(2);
  u << 10.0, 20.0;
  const VectorXd none = VectorXd::Zero(1);
  double expected = 20.0;
  for (int k = 0; k < 100; ++k) {
    if (k == 50) REQUIRE(plant.set_parameter("R", 4.0).ok());
    const double R = k < 50 ? 2.0 : 4.0;
    const double settled = 20.0 + 10.0 * R;
    expected = settled + (expected - settled) * std::exp(-1.0 / (10.0 * R));
    plant.measure(u);
    plant.advance(none);
    CHECK(std::abs(plant.x()(0) - expected) < 1e-7);
  }
}

TEST_CASE("A linear template with foh is simulated with ramps, and its parameters stay as they are") {
  model::ModelSettings settings;
  settings.name = settings.type = "first_order_thermal";
  settings.time = model::TimeBase::continuous;
  settings.discretization = model::Discretization::foh;
  settings.parameters = {{"C", 10.0, ""}, {"R", 2.0, ""}};
  settings.states = {{"T", "", 20.0, 1.0, {}, {}}};
  settings.outputs = {{"T", "", {}, 0.1, {}}};
  settings.noise.Q = model::Rows{{1e-20}};
  Settings simulation = fixtures::tank_simulation();
  simulation.twins[0].model = fixtures::built(settings, 1.0);
  Plant plant(simulation.twins[0].model, base::Random(7, "noise"));
  // Power t, ambient 20: T = 20 + R (t − τ + τ e^{−t/τ}) with τ = R C.
  VectorXd u(2);
  for (int k = 0; k < 100; ++k) {
    u << static_cast<double>(k), 20.0;
    plant.measure(u);
    const double expected = 20.0 + 2.0 * (k - 20.0 + 20.0 * std::exp(-k / 20.0));
    CHECK(std::abs(plant.x()(0) - expected) < 1e-7);
    plant.advance(VectorXd::Zero(1));
  }
  CHECK(plant.set_parameter("R", 4.0).error().code() == base::ErrorCode::invalid_argument);
  CHECK(parse_fault("parameter:tanks.R@1=4", simulation).error().message() ==
        "fault 'parameter:tanks.R@1=4': the model of twin 'tanks' has discretization: foh; accepted: a model with zoh");
}

TEST_CASE("Parameters of a linear template with a part of a step of dead time stay as they are") {
  model::ModelSettings settings;
  settings.name = settings.type = "first_order_thermal";
  settings.time = model::TimeBase::continuous;
  settings.parameters = {{"C", 10.0, ""}, {"R", 2.0, ""}};
  settings.outputs = {{"T", "", {}, 0.1, {}}};
  settings.noise.Q = model::Rows{{1e-20}};
  Settings simulation = fixtures::tank_simulation();
  const auto with_dead_time = [&](double dead_time) {
    return std::get<model::StateSpace>(model::build(settings, 1.0, {dead_time, 0.0}));
  };
  simulation.twins[0].model = with_dead_time(2.3);
  Plant plant(simulation.twins[0].model, base::Random(7, "noise"));
  CHECK(plant.set_parameter("R", 4.0).error().code() == base::ErrorCode::invalid_argument);
  CHECK(parse_fault("parameter:tanks.R@1=4", simulation).error().message() ==
        "fault 'parameter:tanks.R@1=4': an input of twin 'tanks' has a dead time that is no whole number of periods; "
        "accepted: dead times of whole periods");
  simulation.twins[0].model = with_dead_time(2.0);
  CHECK(parse_fault("parameter:tanks.R@1=4", simulation).ok());
}

TEST_CASE("A parameter that is a state goes where a fault puts it and the equations follow") {
  model::ModelSettings settings;
  settings.name = settings.type = "first_order_thermal";
  settings.time = model::TimeBase::continuous;
  settings.parameters = {{"C", 10.0, ""}, {"R", 2.0, ""}};
  settings.inputs = {{"heater", "W", 10.0, {}, {}}};
  settings.outputs = {{"T", "", {}, 1e-9, {}}};
  settings.noise.Q = model::Rows{{1e-20}};
  settings.augment.resize(2);
  settings.augment[0].kind = model::AugmentKind::parameter;
  settings.augment[0].name = "R";
  settings.augment[0].noise_density = 1e-12;
  settings.augment[0].initial_std = 0.1;
  settings.augment[0].initial = 3.0;
  settings.augment[1].output = "T";
  settings.augment[1].std = 1e-9;
  settings.augment[1].time_constant = std::chrono::seconds{10};
  settings.augment[1].initial = 0.5;
  Plant plant(fixtures::built(settings, 1.0), base::Random(6, "noise"));
  CHECK(plant.x()(1) == 3.0);  // what is said of it, though T is at rest for R = 2
  CHECK(plant.x()(0) == Approx(40.0));
  const VectorXd none = VectorXd::Zero(3);
  double expected = 40.0;
  for (int k = 0; k < 100; ++k) {
    if (k == 50) {
      CHECK_FALSE(plant.set_parameter("R", -1.0).ok());
      REQUIRE(plant.set_parameter("R", 4.0).ok());
    }
    const VectorXd y = plant.measure(plant.model().u_op);
    CHECK(y(0) == Approx(plant.x()(0) + 0.5 * std::exp(-k / 10.0)).epsilon(1e-9));
    plant.advance(none);
    const double R = k < 50 ? 3.0 : 4.0;
    const double settled = 20.0 + 10.0 * R;
    expected = settled + (expected - settled) * std::exp(-1.0 / (10.0 * R));
    CHECK(std::abs(plant.x()(0) - expected) < 1e-6);
  }
}

}  // namespace twinkeeper::simulation
