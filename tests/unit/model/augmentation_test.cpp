// Augmented models: those of hand-built matrices, slopes of parameters, what a person may write.
#include "twinkeeper/model/augmentation.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "augment_for_tests.hpp"
#include "model/augment.hpp"
#include "pump_for_tests.hpp"
#include "random_models.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/input_delay.hpp"

using namespace twinkeeper;
using namespace twinkeeper::model;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Three states, two inputs, two outputs, D ≠ 0, away from zero.
ModelSettings plant(TimeBase time) {
  std::mt19937_64 engine(7);
  ModelSettings s;
  s.name = "plant";
  s.time = time;
  if (time == TimeBase::discrete) s.sample_time = 0.5;
  for (const char* name : {"a", "b", "c"}) s.states.push_back({name, "K", 1.0, 0.1, {}, {}});
  s.inputs = {{"u", "V", 2.0, {}, {}}, {"v", "A", -1.0, {}, {}}};
  s.outputs = {{"y", "K", 3.0, 0.1, {}}, {"z", "K", 4.0, 0.2, {}}};
  MatrixXd A = random_matrix(engine, 3, 3);
  if (time == TimeBase::discrete) {
    A *= 0.8 / spectral_radius(A);
  } else {
    A -= 3.0 * MatrixXd::Identity(3, 3);
  }
  s.A = rows(A);
  s.B = rows(random_matrix(engine, 3, 2));
  s.C = rows(random_matrix(engine, 2, 3));
  s.D = rows(random_matrix(engine, 2, 2));
  s.operating_point.x = {0.3, -0.4, 0.5};
  const MatrixXd root = random_matrix(engine, 3, 3);
  s.noise.Q = rows(1e-4 * root * root.transpose());
  if (time == TimeBase::discrete) s.noise.S = rows(1e-5 * random_matrix(engine, 3, 2));
  return s;
}

const std::vector<AugmentSettings> kThree{bias("z"), with_time_constant(disturbance("v"), 40s),
                                          with_time_constant(bias("y"), 7s)};

// The same with the augmented states written out as states of the model, for kThree.
ModelSettings written_out(ModelSettings s, double sample_time) {
  const bool discrete = s.time == TimeBase::discrete;
  for (auto& row : s.A) row.resize(6, 0.0);
  for (std::size_t i = 0; i < 3; ++i) s.A[i][4] = s.B[i][1];
  for (auto& row : s.B) row.resize(2);
  for (auto& row : s.C) row.resize(6, 0.0);
  s.C[1][3] = 1.0;
  s.C[0][5] = 1.0;
  for (std::size_t i = 0; i < 2; ++i) s.C[i][4] = s.D[i][1];
  for (auto& row : *s.noise.Q) row.resize(6, 0.0);
  const double taus[] = {0.0, 40.0, 7.0};
  for (std::size_t k = 0; k < 3; ++k) {
    const double tau = taus[k];
    const double q = 1e-3;
    std::vector<double> row(6, 0.0);
    std::vector<double> noise(6, 0.0);
    if (discrete) {
      row[3 + k] = tau > 0.0 ? std::exp(-sample_time / tau) : 1.0;
      noise[3 + k] = tau > 0.0 ? -q * q * tau / 2.0 * std::expm1(-2.0 * sample_time / tau) : q * q * sample_time;
      s.noise.S->push_back({0.0, 0.0});
    } else {
      row[3 + k] = tau > 0.0 ? -1.0 / tau : 0.0;
      noise[3 + k] = q * q;
    }
    s.A.push_back(row);
    s.B.push_back({0.0, 0.0});
    s.noise.Q->push_back(noise);
    s.operating_point.x.push_back(0.0);
  }
  s.states.push_back({"bias_z", "K", 0.0, 0.5, {}, {}});
  s.states.push_back({"disturbance_v", "A", 0.0, 0.5, {}, {}});
  s.states.push_back({"bias_y", "K", 0.0, 0.5, {}, {}});
  return s;
}

double apart(const MatrixXd& left, const MatrixXd& right) {
  REQUIRE(left.rows() == right.rows());
  REQUIRE(left.cols() == right.cols());
  if (left.size() == 0) return 0.0;
  return (left - right).cwiseAbs().maxCoeff() / std::max(1e-300, right.cwiseAbs().maxCoeff());
}

std::vector<std::string> names_of(const StateSpace& model) {
  std::vector<std::string> names;
  for (const auto& state : model.states) names.push_back(state.name);
  return names;
}

base::Issues issues_of(const ModelSettings& settings, double period = 0.5) {
  auto made = build(settings, period);
  if (auto* issues = std::get_if<base::Issues>(&made)) return *issues;
  return {};
}

}  // namespace

TEST_CASE("An augmented model is the one whose matrices were written by hand") {
  for (const TimeBase time : {TimeBase::discrete, TimeBase::continuous}) {
    const ModelSettings own = plant(time);
    ModelSettings settings = own;
    settings.augment = kThree;
    const bool continuous = time == TimeBase::continuous;
    const std::vector<double> dead_times = continuous ? std::vector{0.7, 1.3} : std::vector{0.5, 1.0};
    const StateSpace made = std::get<StateSpace>(build(settings, 0.5, dead_times));
    const StateSpace hand = std::get<StateSpace>(build(written_out(own, 0.5), 0.5, dead_times));
    CHECK(names_of(made) == names_of(hand));
    for (std::size_t i = 0; i < made.states.size(); ++i) CHECK(made.states[i].unit == hand.states[i].unit);
    for (const auto member : {&StateSpace::A, &StateSpace::B, &StateSpace::C, &StateSpace::D, &StateSpace::Q,
                              &StateSpace::R, &StateSpace::S, &StateSpace::B_late}) {
      CHECK(apart(made.*member, hand.*member) < (continuous ? 1e-300 : 1e-15));
    }
    CHECK(made.x_op == hand.x_op);
    CHECK(made.y_op == hand.y_op);
    CHECK(made.d == hand.d);
    CHECK(*made.initial == *hand.initial);
    CHECK(*made.initial_std == *hand.initial_std);
    CHECK(made.n_own() == 3);
    // What is left without augmentation is the model itself.
    const StateSpace rest = without_augmentation(made);
    const StateSpace plain = std::get<StateSpace>(build(own, 0.5, dead_times));
    CHECK(apart(rest.A, plain.A) < 1e-14);
    if (!continuous) CHECK(rest.Q == plain.Q);
    CHECK(apart(rest.B_late, plain.B_late) < 1e-13);
    CHECK(apart(*steady_state_gain(made), *steady_state_gain(plain)) < 1e-12);
  }
}

TEST_CASE("Without its augmentation a model with foh is that of the machine in every shape") {
  ModelSettings settings = plant(TimeBase::continuous);
  settings.discretization = Discretization::foh;
  const StateSpace plain = std::get<StateSpace>(build(settings, 0.5));
  settings.augment = kThree;
  const StateSpace rest = without_augmentation(std::get<StateSpace>(build(settings, 0.5)));
  REQUIRE(rest.hold_offset.rows() == rest.n_x());
  CHECK(apart(rest.hold_offset, plain.hold_offset) < 1e-13);
  CHECK(apart(rest.D, plain.D) < 1e-13);
}

TEST_CASE("A disturbance has no dead time of its own") {
  ModelSettings settings = plant(TimeBase::continuous);
  settings.augment = {disturbance("v")};
  const StateSpace late = with_late_inputs(std::get<StateSpace>(build(settings, 0.5, {0.0, 0.7})));
  const StateSpace prompt = std::get<StateSpace>(build(settings, 0.5));
  CHECK(apart(late.A, prompt.A) == 0.0);
  CHECK(apart(late.C, prompt.C) == 0.0);
  CHECK(prompt.C.col(3) == prompt.D.col(1));
  CHECK(apart(prompt.A.col(3).head(3), prompt.B.col(1).head(3)) < 1e-15);  // held or walking: the mean is the same
}

TEST_CASE("std and time constant give the noise density of a Gauss-Markov process") {
  for (const TimeBase time : {TimeBase::discrete, TimeBase::continuous}) {
    ModelSettings settings = plant(time);
    AugmentSettings entry = with_time_constant(bias("y"), 2s);
    entry.noise_density.reset();
    entry.initial_std.reset();
    entry.std = 0.3;
    settings.augment = {entry};
    const StateSpace model = std::get<StateSpace>(build(settings, 0.5));
    const double phi = model.A(3, 3);
    CHECK(phi == Approx(std::exp(-0.25)).epsilon(1e-15));
    CHECK(model.Q(3, 3) / (1.0 - phi * phi) == Approx(0.09).epsilon(1e-14));  // variance in the long run
    CHECK((*model.initial_std)(3) == 0.3);
  }
}

TEST_CASE("A linear template is augmented as its matrices are") {
  ModelSettings settings;
  settings.name = settings.type = "dc_motor";
  settings.time = TimeBase::continuous;
  settings.parameters = {{"R", 1.2, ""},  {"L", 2e-3, ""},  {"J", 1e-4, ""},
                         {"b", 1e-5, ""}, {"Kt", 0.05, ""}, {"Ke", 0.05, ""}};
  settings.inputs = {{"voltage", "V", 6.0, {}, {}}};
  settings.outputs = {{"current", "", {}, 0.1, {}}, {"speed", "", {}, 0.1, {}}};
  settings.noise.Q = Rows{{1e-3, 0.0}, {0.0, 1e-3}};
  REQUIRE(complete(settings).empty());
  ModelSettings matrices = settings;
  const auto dynamics = make_dynamics(settings);
  VectorXd f(2), h(2);
  MatrixXd F(2, 2), G(2, 2), C(2, 2), D(2, 2);
  dynamics->evaluate(VectorXd::Zero(2), VectorXd::Zero(2), f, F, G);
  dynamics->observe(VectorXd::Zero(2), VectorXd::Zero(2), h, C, D);
  matrices.type = kStateSpace;
  matrices.parameters.clear();
  matrices.A = rows(F);
  matrices.B = rows(G);
  matrices.C = rows(C);
  settings.augment = matrices.augment = {disturbance("load_torque"), with_time_constant(bias("current"), 3s)};
  const StateSpace left = std::get<StateSpace>(build(settings, 0.01));
  const StateSpace right = std::get<StateSpace>(build(matrices, 0.01));
  CHECK_FALSE(left.nonlinear());
  for (const auto member : {&StateSpace::A, &StateSpace::B, &StateSpace::C, &StateSpace::D, &StateSpace::Q}) {
    CHECK(left.*member == right.*member);
  }
  CHECK(left.states.back().unit == "A");
  CHECK(left.W.rows() == 4);
  // The equations beside it have the same states.
  VectorXd f4(4), h2(2), x(4), u(2);
  MatrixXd F4(4, 4), G4(4, 2), C4(2, 4), D4(2, 2);
  x << 0.3, 20.0, 0.01, 0.2;
  u << 6.0, 0.02;
  left.dynamics->evaluate(x, u, f4, F4, G4);
  left.dynamics->observe(x, u, h2, C4, D4);
  CHECK(F4.col(2).head(2) == G.col(1));
  CHECK(f4(2) == 0.0);
  CHECK(f4(3) == Approx(-0.2 / 3.0));
  CHECK(apart(f4.head(2),
              F * x.head(2) + G * (u + VectorXd(x.segment(2, 1)).replicate(2, 1).cwiseProduct(VectorXd::Unit(2, 1)))) <
        1e-14);
  CHECK(h2(0) == 0.5);
  CHECK(C4 == left.C);
}

namespace {

struct Slope {
  const char* type;
  Parameters parameters;
  std::vector<double> x, u;
  const char* of;
  std::vector<double> f;  // ∂f/∂θ by the closed form
  std::vector<double> h;  // ∂h/∂θ, empty: 0
};

std::vector<Slope> slopes() {
  const double g = std::sqrt(2.0 * 9.80665);
  const Parameters tanks{{"A1", 0.0028, ""}, {"A2", 0.0032, ""},     {"a1", 1.2e-5, ""},
                         {"a2", 1.3e-5, ""}, {"k_pump", 6.2e-6, ""}, {"sensor_1", 9.0, ""}};
  const Parameters oven{{"C", 850.0, ""}, {"R", 0.4, ""}, {"tau_sensor", 20.0, ""}};
  const Parameters rooms{{"C_air", 4e5, ""}, {"C_wall", 5e6, ""}, {"R_air_wall", 0.004, ""}, {"R_wall_out", 0.02, ""}};
  const Parameters motor{{"R", 1.2, ""}, {"L", 2e-3, ""},  {"J", 1e-4, ""},
                         {"b", 0.0, ""}, {"Kt", 0.05, ""}, {"Ke", 0.05, ""}};
  const Parameters exchanger{{"UA", 900.0, ""},  {"cp_hot", 4180.0, ""}, {"cp_cold", 3900.0, ""},
                             {"M_hot", 2.0, ""}, {"M_cold", 3.0, ""},    {"cells", 1.0, ""}};
  const Parameters compressor{{"V", 0.5, ""}, {"V_stroke", 5e-4, ""}, {"k_valve", 2e-8, ""}};
  const Parameters pump = pump_parameters();
  const double w = 370.0;
  const double q = 0.1;
  const double surplus = 12.7084 * w * w + 17984.6 * w * q + 2e5 - 9e5;
  const double per_pascal = 287.05 * 293.15 / 0.5;
  return {
      {"first_order_thermal", oven, {60.0, 55.0}, {200.0, 20.0}, "R", {40.0 / (850.0 * 0.16), 0.0}, {}},
      {"first_order_thermal",
       oven,
       {60.0, 55.0},
       {200.0, 20.0},
       "C",
       {-(200.0 - 40.0 / 0.4) / (850.0 * 850.0), 0.0},
       {}},
      {"first_order_thermal", oven, {60.0, 55.0}, {200.0, 20.0}, "tau_sensor", {0.0, -5.0 / 400.0}, {}},
      {"rc_network",
       rooms,
       {21.0, 15.0},
       {0.0},
       "R_air_wall",
       {6.0 / (4e5 * 0.004 * 0.004), -6.0 / (5e6 * 0.004 * 0.004)},
       {}},
      {"two_tank", tanks, {0.15, 0.1}, {3.0}, "a1", {-g * std::sqrt(0.15) / 0.0028, g * std::sqrt(0.15) / 0.0032}, {}},
      {"two_tank", tanks, {0.15, 0.1}, {3.0}, "k_pump", {3.0 / 0.0028, 0.0}, {}},
      {"two_tank", tanks, {0.15, 0.1}, {3.0}, "sensor_1", {0.0, 0.0}, {0.15, 0.0}},
      {"two_tank", tanks, {0.15, 0.1}, {3.0}, "sensor_zero_2", {0.0, 0.0}, {0.0, 1.0}},
      {"dc_motor", motor, {2.0, 100.0}, {12.0, 0.01}, "b", {0.0, -100.0 / 1e-4}, {}},
      {"dc_motor", motor, {2.0, 100.0}, {12.0, 0.01}, "L", {-(12.0 - 1.2 * 2.0 - 5.0) / 4e-6, 0.0}, {}},
      {"heat_exchanger",
       exchanger,
       {60.0, 30.0},
       {80.0, 10.0, 0.2, 0.3},
       "UA",
       {-30.0 / (2.0 * 4180.0), 30.0 / (3.0 * 3900.0)},
       {}},
      {"centrifugal_pump",
       pump,
       {w, q, 50.0, 50.0, 45.0},
       {471.0, 377.0, 2e5, 9e5, 20.0},
       "A",
       {0.0, 8.24123e-5 * 0.5 / std::sqrt(surplus) * w * w / 5.0, 0.0, 0.0, 0.0},
       {}},
      {"centrifugal_pump",
       pump,
       {w, q, 50.0, 50.0, 45.0},
       {471.0, 377.0, 2e5, 9e5, 20.0},
       "r_thrust",
       {-w / 50.0, 0.0, w * w / 7.3, 0.0, 0.0},
       {}},
      {"compressor_receiver",
       compressor,
       {6e5},
       {900.0, 0.5, 101325.0},
       "k_leak",
       {-per_pascal * (6e5 - 101325.0)},
       {}},
      {"compressor_receiver",
       compressor,
       {6e5},
       {900.0, 0.5, 101325.0},
       "k_valve",
       {-per_pascal * 0.5 * std::sqrt(36e10 - 101325.0 * 101325.0)},
       {}},
  };
}

// With `of` as a state; built without a look at whether it can be estimated.
std::unique_ptr<Dynamics> augmented(const Slope& sample, StateSpace& model) {
  ModelSettings settings;
  settings.name = settings.type = sample.type;
  settings.time = TimeBase::continuous;
  settings.parameters = sample.parameters;
  AugmentSettings entry = parameter(sample.of);
  settings.augment = {entry};
  REQUIRE(complete(settings).empty());
  model = StateSpace{};
  model.dynamics = make_dynamics(settings);
  const Index n = model.dynamics->n_x();
  const Index m = model.dynamics->n_u();
  const Index p = model.dynamics->n_y();
  model.A = MatrixXd::Zero(n, n);
  model.B = MatrixXd::Zero(n, m);
  model.C = MatrixXd::Zero(p, n);
  model.D = MatrixXd::Zero(p, m);
  model.Q = MatrixXd::Zero(n, n);
  model.S = MatrixXd::Zero(n, p);
  model.d = VectorXd::Zero(n);
  model.x_op = Eigen::Map<const VectorXd>(sample.x.data(), n);
  model.u_op = Eigen::Map<const VectorXd>(sample.u.data(), m);
  model.y_op = VectorXd::Zero(p);
  for (const auto& state : settings.states) model.states.push_back({state.name, state.unit, {}});
  augment(model, settings.augment, true);
  return model.dynamics->clone();
}

}  // namespace

TEST_CASE("The slope of a parameter is that of its closed form in each template") {
  std::vector<std::string> seen;
  for (const Slope& sample : slopes()) {
    INFO(sample.type << " " << sample.of);
    StateSpace model;
    const auto dynamics = augmented(sample, model);
    CHECK_FALSE(dynamics->linear());
    const Index n = dynamics->n_x();
    REQUIRE(n == static_cast<Index>(sample.x.size()) + 1);
    VectorXd f(n), h(dynamics->n_y());
    MatrixXd F(n, n), G(n, dynamics->n_u()), C(dynamics->n_y(), n), D(dynamics->n_y(), dynamics->n_u());
    dynamics->evaluate(model.x_op, model.u_op, f, F, G);
    dynamics->observe(model.x_op, model.u_op, h, C, D);
    for (std::size_t i = 0; i < sample.f.size(); ++i) {
      CHECK(F(static_cast<Index>(i), n - 1) == Approx(sample.f[i]).epsilon(1e-7).margin(1e-12));
    }
    for (std::size_t i = 0; i < sample.h.size(); ++i) {
      CHECK(C(static_cast<Index>(i), n - 1) == Approx(sample.h[i]).epsilon(1e-7).margin(1e-12));
    }
    if (sample.h.empty()) CHECK(C.col(n - 1).isZero(0.0));
    CHECK(F.row(n - 1).isZero(0.0));
    CHECK(f(n - 1) == 0.0);
    CHECK(F == model.A);
    // All else is as without it, and the state is what counts, not what the parameter was set to.
    VectorXd moved = model.x_op;
    moved(n - 1) *= 1.1;
    const std::unique_ptr<Dynamics> other = dynamics->clone();
    VectorXd f_moved(n), f_set(n);
    dynamics->evaluate(moved, model.u_op, f_moved, F, G);
    const double value = sample.of == std::string("b") ? 0.3 : model.x_op(n - 1) * 1.3;
    CHECK(other->set_parameter(sample.of, value).ok());
    other->evaluate(moved, model.u_op, f_set, F, G);
    CHECK(f_moved == f_set);
    seen.push_back(sample.type);
  }
  for (const Template* type : templates()) CHECK(std::count(seen.begin(), seen.end(), type->name) >= 1);
}

TEST_CASE("A parameter beyond the limits of its state counts as on them") {
  const Slope oven = slopes()[0];
  StateSpace model;
  const auto dynamics = augmented(oven, model);
  CHECK(model.states.back().limits.min == Approx(0.4e-3));
  CHECK(model.states.back().unit == "K/W");
  VectorXd f(3), at_limit(3), x = model.x_op;
  MatrixXd F(3, 3), G(3, 2);
  for (const double R : {0.4e-3, 0.0, -1.0}) {
    x(2) = R;
    dynamics->evaluate(x, model.u_op, f, F, G);
    CHECK(f.allFinite());
    CHECK(F.allFinite());
    if (R == 0.4e-3) at_limit = f;
    CHECK(f == at_limit);
  }
}

TEST_CASE("Settings of augmentation are completed once and told wrong all at once") {
  ModelSettings settings = two_tank_settings();
  settings.augment = {with_time_constant(bias("level_1"), 8s), disturbance("pump")};
  settings.augment[0].initial_std.reset();
  REQUIRE(complete(settings).empty());
  CHECK(settings.augment[0].initial == 0.0);
  CHECK(*settings.augment[0].initial_std == Approx(2e-3));  // q √(τ/2)
  const ModelSettings once = settings;
  REQUIRE(complete(settings).empty());
  CHECK(settings.augment[0].initial_std == once.augment[0].initial_std);
  CHECK(augmented_name(settings.augment[0]) == "bias_level_1");
  CHECK(augmented_name(settings.augment[1]) == "disturbance_pump");

  settings.augment = {bias("level_3"), disturbance("level_1"), parameter("A1"),
                      bias("level_1"), bias("level_1"),        bias("level_2")};
  settings.augment[3].initial_std.reset();
  settings.augment[5].std = 1.0;
  settings.augment[5].input = "pump";
  std::vector<std::string> paths;
  for (const auto& issue : complete(settings)) paths.push_back(issue.path);
  CHECK(paths == std::vector<std::string>{"augment[0].output", "augment[1].input", "augment[2].kind",
                                          "augment[3].initial_std", "augment[4]", "augment[5].input", "augment[5].std",
                                          "augment[5].std"});

  settings = two_tank_settings();
  settings.states[1].name = "bias_level_1";
  settings.augment = {bias("level_1")};
  REQUIRE(complete(settings).size() == 1);
  CHECK(complete(settings)[0].what.find("bias_level_1 has the name of a state") != std::string::npos);

  settings = two_tank_settings();
  settings.augment = {bias("level_1")};
  settings.augment[0].initial = 3.0;
  settings.augment[0].max = 2.0;
  REQUIRE(complete(settings).size() == 1);
  CHECK(complete(settings)[0].path == "augment[0].initial");
}

TEST_CASE("The innovations form alone is not augmented") {
  ModelSettings settings = two_tank_settings();
  settings.noise = {};
  settings.noise.K = Rows{{0.1, 0.0}, {0.0, 0.1}};
  settings.noise.Ry = Rows{{1e-5, 0.0}, {0.0, 1e-5}};
  for (auto& state : settings.states) state.initial_std.reset();
  REQUIRE(issues_of(settings, 0.1).empty());
  settings.augment = {bias("level_1")};
  REQUIRE(issues_of(settings, 0.1).size() == 1);
  CHECK(issues_of(settings, 0.1)[0].path == "model.augment[0]");
}
