#include <cmath>
#include <random>

#include "pump_for_tests.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/discretise.hpp"
#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/step_exponential.hpp"
#include "twinkeeper/model/templates.hpp"

using namespace twinkeeper;
using namespace twinkeeper::model;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// A model of each template, with the range its states and inputs are drawn from.
struct Sample {
  const char* type;
  Parameters parameters;
  std::vector<std::pair<double, double>> x, u;
  std::vector<double> nominal = {};
};

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all{
      {"first_order_thermal", {{"C", 5.0, ""}, {"R", 80.0, ""}}, {{0, 90}}, {{0, 100}, {10, 30}}},
      {"first_order_thermal",
       {{"C", 4.0, ""},
        {"R", 80.0, ""},
        {"eta", 0.01, ""},
        {"tau_sensor", 15.0, ""},
        {"C_2", 4.5, ""},
        {"R_2", 90.0, ""},
        {"eta_2", 0.006, ""},
        {"tau_sensor_2", 17.0, ""},
        {"R_12", 60.0, ""}},
       {{0, 90}, {0, 90}, {0, 90}, {0, 90}},
       {{0, 100}, {0, 100}, {10, 30}}},
      {"rc_network",
       {{"C_air", 4e5, ""},
        {"C_wall", 5e6, ""},
        {"eta_air", 1.0, ""},
        {"R_air_wall", 0.004, ""},
        {"R_wall_outside", 0.02, ""},
        {"R_outside_air", 0.05, ""}},
       {{0, 40}, {0, 40}},
       {{0, 3000}, {-20, 30}}},
      {"two_tank",
       {{"A1", 0.0028, ""}, {"A2", 0.0032, ""}, {"a1", 1.2e-5, ""}, {"a2", 1.2e-5, ""}, {"k_pump", 6.2e-6, ""}},
       {{0.01, 0.3}, {0.01, 0.3}},
       {{0, 10}}},
      {"two_tank",
       {{"A1", 0.0028, ""},
        {"A2", 0.0032, ""},
        {"a1", 1.2e-5, ""},
        {"a2", 1.2e-5, ""},
        {"k_pump", 6.2e-6, ""},
        {"height_1", 0.2, ""},
        {"height_2", 0.2, ""},
        {"overflow_share", 0.7, ""},
        {"ceiling_1", 0.18, ""},
        {"ceiling_2", 0.19, ""},
        {"h_min", 0.02, ""}},
       {{-0.01, 0.3}, {-0.01, 0.3}},
       {{0, 10}}},
      {"heat_exchanger",
       {{"UA", 900.0, ""},
        {"cp_hot", 4180.0, ""},
        {"cp_cold", 3900.0, ""},
        {"M_hot", 2.0, ""},
        {"M_cold", 3.0, ""},
        {"cells", 3.0, ""}},
       std::vector<std::pair<double, double>>(6, {10, 90}),
       {{50, 90}, {5, 20}, {0.0, 0.5}, {0.0, 0.5}},
       {80, 10, 0.2, 0.3}},
      {"heat_exchanger",
       {{"UA", 900.0, ""},
        {"cp_hot", 4180.0, ""},
        {"cp_cold", 3900.0, ""},
        {"M_hot", 2.0, ""},
        {"M_cold", 3.0, ""},
        {"cells", 2.0, ""},
        {"counter_current", 0.0, ""}},
       std::vector<std::pair<double, double>>(4, {10, 90}),
       {{50, 90}, {5, 20}, {0.0, 0.5}, {0.0, 0.5}},
       {80, 10, 0.2, 0.3}},
      {"centrifugal_pump",
       pump_parameters(),
       {{-20, 450}, {-0.01, 0.15}, {0, 90}, {0, 90}, {0, 90}},
       {{-500, 500}, {-5, 400}, {1e5, 3e5}, {5e5, 3e6}, {0, 40}},
       {471.2391, 376.991, 239179.0, 928654.0, 20.0}},
      {"compressor_receiver",
       {{"V", 0.5, ""}, {"V_stroke", 5e-4, ""}, {"eta_slope", 0.1, ""}, {"k_valve", 2e-8, ""}, {"k_leak", 1e-9, ""}},
       {{1e5, 1.2e6}},
       {{0, 1500}, {0, 1}, {0.9e5, 8e5}},
       {900, 0.5, 101325}},
      {"dc_motor",
       {{"R", 1.2, ""}, {"L", 2e-3, ""}, {"J", 1e-4, ""}, {"b", 1e-5, ""}, {"Kt", 0.05, ""}, {"Ke", 0.05, ""}},
       {{-5, 5}, {-400, 400}},
       {{-24, 24}, {-0.2, 0.2}}},
  };
  return all;
}

ModelSettings settings_of(const Sample& sample) {
  ModelSettings settings;
  settings.name = sample.type;
  settings.type = sample.type;
  settings.time = TimeBase::continuous;
  settings.parameters = sample.parameters;
  REQUIRE(complete(settings).empty());
  for (auto& output : settings.outputs) output.noise_std = 0.1;
  for (std::size_t i = 0; i < settings.inputs.size(); ++i) {
    if (i < sample.nominal.size()) settings.inputs[i].nominal = sample.nominal[i];
  }
  Rows Q(settings.states.size(), std::vector<double>(settings.states.size(), 0.0));
  for (std::size_t i = 0; i < Q.size(); ++i) Q[i][i] = 1e-4;
  settings.noise.Q = Q;
  return settings;
}

VectorXd draw(std::mt19937_64& engine, const std::vector<std::pair<double, double>>& ranges) {
  VectorXd out(static_cast<Index>(ranges.size()));
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    out(static_cast<Index>(i)) = std::uniform_real_distribution(ranges[i].first, ranges[i].second)(engine);
  }
  return out;
}

struct Linearisation {
  VectorXd f, h;
  MatrixXd F, G, C, D;
  Linearisation(const Dynamics& dynamics, const VectorXd& x, const VectorXd& u)
      : f(dynamics.n_x()),
        h(dynamics.n_y()),
        F(dynamics.n_x(), dynamics.n_x()),
        G(dynamics.n_x(), dynamics.n_u()),
        C(dynamics.n_y(), dynamics.n_x()),
        D(dynamics.n_y(), dynamics.n_u()) {
    dynamics.evaluate(x, u, f, F, G);
    dynamics.observe(x, u, h, C, D);
  }
};

// Central differences; where they disagree from one side to the other the point lies on a kink.
void check_columns(const Dynamics& dynamics, const VectorXd& x, const VectorXd& u, bool of_x,
                   const std::pair<double, double>& range, Index j, int& checked) {
  const Linearisation at(dynamics, x, u);
  const double step = 1e-6 * (range.second - range.first);
  VectorXd x_up = x, x_down = x, u_up = u, u_down = u;
  (of_x ? x_up : u_up)(j) += step;
  (of_x ? x_down : u_down)(j) -= step;
  const Linearisation up(dynamics, x_up, u_up);
  const Linearisation down(dynamics, x_down, u_down);
  const auto compare = [&](const VectorXd& high, const VectorXd& here, const VectorXd& low, const VectorXd& exact) {
    for (Index i = 0; i < here.size(); ++i) {
      const double forward = (high(i) - here(i)) / step;
      const double backward = (here(i) - low(i)) / step;
      const double scale = std::abs(exact(i)) + (std::abs(high(i)) + std::abs(low(i))) * 1e-4 / step * 1e-4;
      if (std::abs(forward - backward) > 1e-2 * (scale + 1e-12)) continue;
      CHECK(std::abs(0.5 * (forward + backward) - exact(i)) <= 1e-5 * scale + 1e-12);
      ++checked;
    }
  };
  compare(up.f, at.f, down.f, of_x ? at.F.col(j) : at.G.col(j));
  compare(up.h, at.h, down.h, of_x ? at.C.col(j) : at.D.col(j));
}

}  // namespace

TEST_CASE("the Jacobians of every template are those of its equations at random points") {
  std::mt19937_64 engine(7);
  std::vector<std::string> seen;
  for (const Sample& sample : samples()) {
    INFO(sample.type);
    seen.emplace_back(sample.type);
    const auto dynamics = make_dynamics(settings_of(sample));
    REQUIRE(dynamics->n_x() == static_cast<Index>(sample.x.size()));
    REQUIRE(dynamics->n_u() == static_cast<Index>(sample.u.size()));
    int checked = 0;
    constexpr int kPoints = 200;
    for (int i = 0; i < kPoints; ++i) {
      const VectorXd x = draw(engine, sample.x);
      const VectorXd u = draw(engine, sample.u);
      for (Index j = 0; j < x.size(); ++j) {
        check_columns(*dynamics, x, u, true, sample.x[static_cast<std::size_t>(j)], j, checked);
      }
      for (Index j = 0; j < u.size(); ++j) {
        check_columns(*dynamics, x, u, false, sample.u[static_cast<std::size_t>(j)], j, checked);
      }
    }
    const auto all = kPoints * (dynamics->n_x() + dynamics->n_y()) * (dynamics->n_x() + dynamics->n_u());
    CHECK(checked > 0.98 * static_cast<double>(all));
  }
  for (const Template* entry : templates()) CHECK(std::count(seen.begin(), seen.end(), entry->name) > 0);
}

TEST_CASE("every template stays finite far outside its range") {
  for (const Sample& sample : samples()) {
    INFO(sample.type);
    const auto dynamics = make_dynamics(settings_of(sample));
    for (const double value : {0.0, -1.0, 1e6, -1e6}) {
      const Linearisation at(*dynamics, VectorXd::Constant(dynamics->n_x(), value),
                             VectorXd::Constant(dynamics->n_u(), value));
      CHECK((at.f.allFinite() && at.F.allFinite() && at.G.allFinite() && at.h.allFinite() && at.C.allFinite() &&
             at.D.allFinite()));
    }
  }
}

TEST_CASE("D of every template has the same zeros everywhere") {
  std::mt19937_64 engine(8);
  for (const Sample& sample : samples()) {
    const auto dynamics = make_dynamics(settings_of(sample));
    const Linearisation first(*dynamics, draw(engine, sample.x), draw(engine, sample.u));
    for (int i = 0; i < 20; ++i) {
      const Linearisation next(*dynamics, draw(engine, sample.x), draw(engine, sample.u));
      CHECK((first.D.array() != 0.0).matrix() == (next.D.array() != 0.0).matrix());
    }
  }
}

TEST_CASE("a template becomes a model that comes to rest at its operating point") {
  for (const Sample& sample : samples()) {
    INFO(sample.type);
    const StateSpace model = built(settings_of(sample), 0.01);
    REQUIRE(model.dynamics != nullptr);
    CHECK(model.nonlinear() == !find_template(sample.type)->linear);
    CHECK((model.x_op + model.d - model.x_op).norm() <= 1e-9 * (1.0 + model.x_op.norm()));
    const Linearisation at(*model.dynamics, model.x_op, model.u_op);
    CHECK((at.h - model.y_op).norm() == 0.0);
    CHECK((at.C - model.C).norm() == 0.0);
  }
}

TEST_CASE("a linear template is the state space with the matrices a textbook gives") {
  ModelSettings motor = settings_of(samples().back());
  ModelSettings plain = motor;
  plain.type = "state_space";
  plain.parameters.clear();
  plain.A = {{-600.0, -25.0}, {500.0, -0.1}};
  plain.B = {{500.0, 0.0}, {0.0, -1e4}};
  plain.C = {{1.0, 0.0}, {0.0, 1.0}};
  const StateSpace from_template = built(motor, 1e-3);
  const StateSpace written = built(plain, 1e-3);
  CHECK((from_template.A - written.A).norm() <= 1e-12 * written.A.norm());
  CHECK((from_template.B - written.B).norm() <= 1e-12 * written.B.norm());
  CHECK((from_template.Q - written.Q).norm() <= 1e-12 * written.Q.norm());
  CHECK(from_template.states[0].unit == "A");
}

TEST_CASE("two heated bodies that touch exchange as much as they lose, and their sensors follow") {
  const Sample& sample = samples()[1];
  const auto dynamics = make_dynamics(settings_of(sample));
  VectorXd x(4), u(3);
  x << 60.0, 40.0, 50.0, 40.0;
  u << 0.0, 0.0, 20.0;
  const Linearisation at(*dynamics, x, u);
  const double lost = (60.0 - 20.0) / 80.0 + (40.0 - 20.0) / 90.0;
  CHECK(std::abs(4.0 * at.f(0) + 4.5 * at.f(1) + lost) < 1e-12);
  CHECK(std::abs(at.f(2) - 10.0 / 15.0) < 1e-12);
  CHECK(std::abs(at.f(3)) < 1e-12);
  CHECK(at.h(0) == 50.0);
  u(0) = 100.0;
  CHECK(std::abs(Linearisation(*dynamics, x, u).f(0) - at.f(0) - 1.0 / 4.0) < 1e-12);
}

TEST_CASE("a network keeps its heat but for what crosses its boundary") {
  const auto dynamics = make_dynamics(settings_of(samples()[2]));
  VectorXd x(2), u(2);
  x << 21.0, 15.0;
  u << 1000.0, -5.0;
  const Linearisation at(*dynamics, x, u);
  const double heat = 4e5 * at.f(0) + 5e6 * at.f(1);
  CHECK(std::abs(heat - (1000.0 - 20.0 / 0.02 - 26.0 / 0.05)) < 1e-6);
}

TEST_CASE("two tanks pass on what they lose, overflow included, and a sensor shows no more than its ceiling") {
  const Sample& sample = samples()[4];
  REQUIRE(sample.parameters.size() > 6);
  const auto dynamics = make_dynamics(settings_of(sample));
  VectorXd x(2), u(1);
  x << 0.21, 0.1;
  u << 5.0;
  const Linearisation at(*dynamics, x, u);
  const double out_1 = 1.2e-5 * std::sqrt(2.0 * 9.80665 * 0.21);
  const double out_2 = 1.2e-5 * std::sqrt(2.0 * 9.80665 * 0.1);
  const double over = 0.0028 * 0.01 / 1.0;
  CHECK(std::abs(0.0028 * at.f(0) - (6.2e-6 * 5.0 - out_1 - over)) < 1e-15);
  CHECK(std::abs(0.0032 * at.f(1) - (out_1 + 0.7 * over - out_2)) < 1e-15);
  CHECK(at.h(0) == 0.18);
  CHECK(at.C(0, 0) == 0.0);
  CHECK(at.h(1) == 0.1);
  // Empty tanks lose nothing, and the slope there is the chord's.
  x << 0.0, 0.0;
  const Linearisation empty(*dynamics, x, VectorXd::Zero(1));
  CHECK(empty.f.norm() == 0.0);
  CHECK(std::abs(empty.F(0, 0) + 1.2e-5 * std::sqrt(2.0 * 9.80665 / 0.02) / 0.0028) < 1e-15);
}

TEST_CASE("two tanks settle where the outlets carry what the pump brings") {
  ModelSettings settings = settings_of(samples()[3]);
  settings.inputs[0].nominal = 3.0;
  const StateSpace model = built(settings, 1.0);
  const double level = std::pow(6.2e-6 * 3.0 / 1.2e-5, 2) / (2.0 * 9.80665);
  CHECK(std::abs(model.x_op(0) - level) < 1e-9);
  CHECK(std::abs(model.x_op(1) - level) < 1e-9);
  CHECK(std::abs(model.A(0, 0) - std::exp(-1.2e-5 * std::sqrt(2.0 * 9.80665) / (2.0 * std::sqrt(level) * 0.0028))) <
        1e-9);
}

TEST_CASE("a heat exchanger at rest passes on what the hot stream loses, and matches the textbook for many cells") {
  const Sample& sample = samples()[5];
  ModelSettings settings = settings_of(sample);
  const StateSpace model = built(settings, 0.1);
  const double hot = 0.2 * 4180.0 * (80.0 - model.y_op(0));
  const double cold = 0.3 * 3900.0 * (model.y_op(1) - 10.0);
  CHECK(std::abs(hot - cold) < 1e-6 * hot);
  // Counter-current without cells (effectiveness, NTU): Incropera, section 11.4. Cells mix, so they reach less.
  const double C_min = 0.2 * 4180.0;
  const double ratio = C_min / (0.3 * 3900.0);
  const double ntu = 900.0 / C_min;
  const double ideal = (1.0 - std::exp(-ntu * (1.0 - ratio))) / (1.0 - ratio * std::exp(-ntu * (1.0 - ratio)));
  double before = 0.0;
  for (const double cells : {1.0, 2.0, 3.0, 5.0}) {
    settings = settings_of(sample);
    settings.parameters[5].value = cells;
    settings.states.clear();
    const std::size_t n = 2 * static_cast<std::size_t>(cells);
    settings.noise.Q = Rows(n, std::vector<double>(n, 0.0));
    const double effectiveness = (80.0 - built(settings, 0.1).y_op(0)) / 70.0;
    CHECK(effectiveness > before);
    CHECK(effectiveness < ideal);
    before = effectiveness;
  }
  CHECK(before > 0.9 * ideal);
}

TEST_CASE("the pump rests where Daigle and Goebel's does") {
  const StateSpace model = built(settings_of(samples()[7]), 0.1);
  // Their equations at this point, solved by hand for the speed and flow that hold each other.
  const double w = model.x_op(0);
  const double q = model.x_op(1);
  const double s = (376.991 - w) / 376.991;
  const double torque = 3.0 * 0.076 / (s * 376.991) * 471.2391 * 471.2391 /
                        (std::pow(0.36 + 0.076 / s, 2) + std::pow(376.991 * 0.00063, 2));
  const double load = (0.008 + 3.2e-6) * w - 9179.4 * q * q + 5.77703 * w * q + 0.00149204 * w * w;
  CHECK(std::abs(torque - load) < 1e-9 * load);
  const double surplus = 12.7084 * w * w + 17984.6 * w * q + 239179.0 - 928654.0;
  CHECK(std::abs(8.24123e-5 * std::sqrt(surplus) - q) < 1e-9 * q);
  CHECK((w > 360.0 && w < 376.991));
  CHECK((q > 0.05 && q < 0.2));
  CHECK((model.x_op(2) > 20.0 && model.x_op(2) < 97.0));  // below the bearings' limit of 370 K
}

TEST_CASE("the receiver rests where the compressor brings what valve and leak take") {
  const StateSpace model = built(settings_of(samples()[8]), 0.1);
  const double p = model.x_op(0);
  const double in = (0.9 - 0.1 * (p / 101325.0 - 1.0)) * 101325.0 / (287.05 * 293.15) * 5e-4 * 900.0 / 60.0;
  const double out = 2e-8 * 0.5 * std::sqrt(p * p - 101325.0 * 101325.0) + 1e-9 * (p - 101325.0);
  CHECK(std::abs(in - out) < 1e-9 * in);
  CHECK(p > 3e5);
}

TEST_CASE("what is said of a template's signals is laid over its own, in any order") {
  ModelSettings settings;
  settings.type = "dc_motor";
  settings.time = TimeBase::continuous;
  settings.parameters = samples().back().parameters;
  settings.parameters[0].unit = "Ω";
  settings.parameters[2].unit = "kg·m²";
  settings.states.resize(1);
  settings.states[0].name = "speed";
  settings.states[0].max = 500.0;
  settings.outputs = {{"speed", "rad/s", {}, 0.5, {}}};
  REQUIRE(complete(settings).empty());
  REQUIRE(settings.states.size() == 2);
  CHECK(settings.states[0].name == "current");
  CHECK(settings.states[1].max == 500.0);
  CHECK(settings.inputs[1].nominal == 0.0);
  REQUIRE(settings.outputs.size() == 1);
  const auto dynamics = make_dynamics(settings);
  CHECK(dynamics->n_y() == 1);
  ModelSettings again = settings;
  CHECK(complete(again).empty());
  CHECK(again.states.size() == 2);
}

TEST_CASE("a parameter changes by name within its bounds") {
  const auto dynamics = make_dynamics(settings_of(samples().back()));
  const auto copy = dynamics->clone();
  REQUIRE(copy->set_parameter("R", 2.4).ok());
  VectorXd x(2), u(2);
  x << 1.0, 0.0;
  u << 0.0, 0.0;
  CHECK(std::abs(Linearisation(*copy, x, u).f(0) + 1200.0) < 1e-9);
  CHECK(std::abs(Linearisation(*dynamics, x, u).f(0) + 600.0) < 1e-9);
  CHECK(copy->set_parameter("R", 0.0).error().message() == "R is out of range; accepted: a number above 0 in Ohm");
  CHECK(copy->set_parameter("X", 1.0).error().message() ==
        "there is no parameter 'X' that can change; accepted: R, L, J, b, Kt, Ke");
}

TEST_CASE("the step's exponential is that of the discretisation") {
  std::mt19937_64 engine(9);
  std::normal_distribution<double> normal;
  for (const Index n : {1, 2, 5, 10}) {
    for (const double size : {0.01, 1.0, 300.0}) {
      MatrixXd F(n, n), root(n, n);
      for (double& value : F.reshaped()) value = normal(engine);
      for (double& value : root.reshaped()) value = normal(engine);
      F -= (F.norm() + 0.1) * MatrixXd::Identity(n, n);
      F *= size / F.norm();
      const MatrixXd W = root * root.transpose();
      const VectorXd dx = VectorXd::Ones(n);
      const Discretised expected = discretise(F, MatrixXd::Identity(n, n), W, dx, 1.0);
      StepExponential step(2.0 * F, W, 1.0);
      step.compute(F);
      CHECK((step.A() - expected.A).norm() <= 1e-12 * (1e-300 + MatrixXd::Identity(n, n).norm()));
      CHECK((step.gamma() - expected.B).norm() <= 1e-12 * expected.B.norm());
      CHECK((step.Q() - expected.Q).norm() <= 1e-12 * expected.Q.norm());
    }
  }
}
