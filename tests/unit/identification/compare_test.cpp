#include "identification/compare.hpp"

#include <chrono>
#include <cmath>
#include <random>
#include <utility>
#include <variant>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;

namespace {

constexpr Index kRows = 600;

model::AugmentSettings random_walk(model::AugmentKind kind, double initial_std, double initial) {
  model::AugmentSettings entry;
  entry.kind = kind;
  entry.noise_density = 1e-5;
  entry.initial_std = initial_std;
  entry.initial = initial;
  return entry;
}

model::StateSpace tank(double initial_std, double bias, bool augmented = true) {
  model::ModelSettings settings;
  settings.name = "tank";
  settings.sample_time = 0.5;
  settings.states = {{"level_1", "m", {}, {}, {}, {}}, {"level_2", "m", {}, {}, {}, {}}};
  settings.inputs = {{"pump", "V", {}, {}, {}}};
  settings.outputs = {{"level_1", "m", {}, 0.02, {}}, {"level_2", "m", {}, 0.02, {}}};
  settings.A = {{0.98, 0.0}, {0.02, 0.97}};
  settings.B = {{0.01}, {0.0}};
  settings.C = {{1.0, 0.0}, {0.0, 1.0}};
  settings.D = {{0.0}, {0.001}};
  settings.noise.Q = model::Rows{{1e-7, 0.0}, {0.0, 1e-7}};
  if (augmented) {
    settings.augment = {random_walk(model::AugmentKind::sensor_bias, initial_std, bias),
                        random_walk(model::AugmentKind::input_disturbance, initial_std, 0.0)};
    settings.augment[0].output = "level_2";
    settings.augment[1].input = "pump";
  }
  return std::get<model::StateSpace>(model::build(settings, 0.5));
}

// The template two_tank, the second outlet of which is a state.
model::StateSpace two_tank(double initial_std, double initial, bool augmented = true) {
  model::ModelSettings settings;
  settings.name = settings.type = "two_tank";
  settings.time = model::TimeBase::continuous;
  settings.parameters = {{"A1", 28e-4, ""}, {"A2", 32e-4, ""},        {"a1", 12e-6, ""},
                         {"a2", 12e-6, ""}, {"k_pump", 6.239e-6, ""}, {"height_1", 0.2, ""}};
  settings.states = {{"level_1", "m", {}, {}, 0.0, 0.5}, {"level_2", "m", {}, {}, 0.0, 0.5}};
  settings.inputs = {{"pump", "V", 3.0, 0.0, 10.0}};
  settings.outputs = {{"level_1", "m", {}, 0.002, {}}, {"level_2", "m", {}, 0.002, {}}};
  settings.noise.Q = model::Rows{{1e-10, 0.0}, {0.0, 1e-10}};
  if (augmented) {
    settings.augment = {random_walk(model::AugmentKind::parameter, initial_std, initial)};
    settings.augment[0].name = "a2";
    settings.augment[0].noise_density = 1e-10;
  } else {
    for (auto& parameter : settings.parameters) {
      if (parameter.name == "a2") parameter.value = initial;
    }
  }
  return std::get<model::StateSpace>(model::build(settings, 1.0));
}

Record noisy(const model::StateSpace& model, double level, double noise) {
  Record record;
  std::mt19937_64 engine(3);
  std::normal_distribution<double> normal;
  record.u.resize(kRows, 1);
  record.y.resize(kRows, 2);
  Eigen::VectorXd x = Eigen::VectorXd::Zero(2);
  for (Index k = 0; k < kRows; ++k) {
    record.tick.push_back(k);
    record.u(k, 0) = k / 100 % 2 == 0 ? 3.0 : 3.3;
    const Eigen::VectorXd du = record.u.row(k).transpose() - model.u_op;
    for (Index i = 0; i < 2; ++i) record.y(k, i) = level + (model.y_op + x)(i) + noise * normal(engine);
    x = model.A.topLeftCorner(2, 2) * x + model.B.topRows(2) * du;
  }
  return record;
}

double apart(const MatrixXd& a, const MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }

MatrixXd predicted(const model::StateSpace& model, const Record& record, std::optional<std::int64_t> horizon,
                   Start start = Start::estimate) {
  return compare(model, record, horizon, start).value().predicted;
}

}  // namespace

TEST_CASE("Augmented states of a linear model are estimated from what is known of them") {
  const model::StateSpace plain = tank(0.0, 0.0, false);
  const Record record = noisy(plain, 0.1, 0.02);
  const MatrixXd free = predicted(plain, record, {});
  // Σ, by which errors are weighed, is not quite that of the plain model.
  CHECK(apart(predicted(tank(0.0, 0.0), record, {}), free) < 1e-5);   // known
  CHECK(apart(predicted(tank(1e-9, 0.0), record, {}), free) < 1e-5);  // nearly
  CHECK(apart(predicted(tank(1e-9, 0.3), record, {}), free) > 0.01);  // nearly, but otherwise
  const double error = apart(predicted(tank(0.05, 0.0), record, {}), record.y);
  INFO(error);
  CHECK(error < 0.3);  // 50 rows leave a bias and a disturbance open, of 0.05 at first
}

TEST_CASE("Without an estimate augmented states start at their initial value") {
  const model::StateSpace plain = tank(0.0, 0.0, false);
  const Record record = noisy(plain, 0.1, 0.02);
  MatrixXd expected = predicted(plain, record, {}, Start::zero);
  expected.col(1).array() += 0.3;
  CHECK(apart(predicted(tank(0.5, 0.3), record, {}, Start::zero), expected) < 1e-12);
  CHECK(apart(predicted(tank(0.5, 0.3), record, 5, Start::zero).topRows(5), expected.topRows(5)) < 1e-12);
}

TEST_CASE("A parameter that is a state is estimated from what is known of it") {
  const double a2 = 12e-6;
  const model::StateSpace plain = two_tank(0.0, a2, false);
  const Record record = noisy(plain, 0.004, 0.002);
  const MatrixXd free = predicted(plain, record, {});
  CHECK(apart(predicted(two_tank(0.0, a2), record, {}), free) < 1e-6);
  CHECK(apart(predicted(two_tank(1e-12, a2), record, {}), free) < 1e-6);
  // Without an estimate it is where it is said to be: the tank comes to another level.
  const MatrixXd zero = predicted(two_tank(1e-6, 10e-6), record, {}, Start::zero);
  CHECK(zero.bottomRows(1)(0, 1) > 1.2 * record.y.bottomRows(1)(0, 1));
}
