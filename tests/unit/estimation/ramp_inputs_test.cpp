// Twins of models whose inputs run linearly between the ticks (foh): the filter works on z, everything told is x.
#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/hold.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double kPeriod = 0.2;

model::Rows rows(const MatrixXd& matrix) {
  model::Rows result;
  for (Index i = 0; i < matrix.rows(); ++i) {
    result.emplace_back();
    for (Index j = 0; j < matrix.cols(); ++j) result.back().push_back(matrix(i, j));
  }
  return result;
}

model::ModelSettings random_settings(std::mt19937_64& engine, Index n, Index m, Index p) {
  model::ModelSettings settings;
  settings.name = "any";
  settings.time = model::TimeBase::continuous;
  settings.discretization = model::Discretization::foh;
  const VectorXd x_op = random_matrix(engine, n, 1);
  for (Index i = 0; i < n; ++i) {
    settings.states.push_back({"x" + std::to_string(i), "", x_op(i) + 0.3, 0.2, {}, {}});
  }
  for (Index i = 0; i < m; ++i) settings.inputs.push_back({"u" + std::to_string(i), "", {}, {}, {}});
  for (Index i = 0; i < p; ++i) settings.outputs.push_back({"y" + std::to_string(i), "", {}, 0.1, {}});
  settings.A = rows(random_matrix(engine, n, n) - 2.0 * MatrixXd::Identity(n, n));
  settings.B = rows(random_matrix(engine, n, m));
  settings.C = rows(random_matrix(engine, p, n));
  settings.D = rows(random_matrix(engine, p, m));
  const MatrixXd root = random_matrix(engine, n, n);
  settings.noise.Q = rows(0.01 * root * root.transpose());
  const auto list = [](const MatrixXd& vector) {
    return std::vector<double>(vector.data(), vector.data() + vector.size());
  };
  settings.operating_point = {list(x_op), list(random_matrix(engine, m, 1)), list(random_matrix(engine, p, 1))};
  settings.dx = list(random_matrix(engine, n, 1));
  return settings;
}

model::StateSpace built(const model::ModelSettings& settings, const std::vector<double>& dead_times = {}) {
  auto model = model::build(settings, kPeriod, dead_times);
  REQUIRE(std::holds_alternative<model::StateSpace>(model));
  return std::get<model::StateSpace>(std::move(model));
}

model::StateSpace held_inputs(model::ModelSettings settings) {
  settings.discretization = model::Discretization::zoh;
  return built(settings);
}

TwinSettings ungated() {
  TwinSettings settings;
  settings.gate.reset();
  return settings;
}

// The filter in x, as the equations of hold.hpp have it, with inverses.
struct Reference {
  MatrixXd A, first, second, C, D, Q, R;
  VectorXd d, x;  // deviations; x of the present step, before its measurements
  MatrixXd P;
  VectorXd before;  // u of the step before

  explicit Reference(const model::StateSpace& held, const model::StateSpace& model)
      : A(held.A),
        first(held.B - model.hold_offset),
        second(model.hold_offset),
        C(held.C),
        D(held.D),
        Q(held.Q),
        R(held.R),
        d(held.d) {}

  void move(const VectorXd& u) {
    x = (A * x + first * before + second * u + d).eval();
    P = (A * P * A.transpose() + Q).eval();
  }
  void fuse(Index i, double y, const VectorXd& u) {
    const VectorXd gain = P * C.row(i).transpose() / ((C.row(i) * P).dot(C.row(i)) + R(i, i));
    x += gain * (y - C.row(i).dot(x) - D.row(i).dot(u));
    P = (P - gain * C.row(i) * P).eval();
  }
};

// One state that follows one input with 1 s, measured.
model::ModelSettings follower() {
  model::ModelSettings settings;
  settings.name = "follower";
  settings.time = model::TimeBase::continuous;
  settings.discretization = model::Discretization::foh;
  settings.states.push_back({"x", "", 1.0, 0.1, {}, {}});
  settings.inputs.push_back({"u", "", {}, {}, {}});
  settings.outputs.push_back({"x", "", {}, 0.1, {}});
  settings.A = {{-1.0}};
  settings.B = {{1.0}};
  settings.C = {{1.0}};
  settings.noise.Q = model::Rows{{1e-3}};
  return settings;
}

VectorXd one(double value) { return VectorXd::Constant(1, value); }

}  // namespace

TEST_CASE("A twin with foh tells x as a filter in x does, whatever rows are missing") {
  std::mt19937_64 engine(51);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    const Index n = 1 + round % 5;
    const Index m = 1 + round % 2;
    const Index p = 1 + round % 3;
    const model::ModelSettings settings = random_settings(engine, n, m, p);
    const model::StateSpace model = built(settings);
    Reference reference(held_inputs(settings), model);
    reference.x = *model.initial - model.x_op;
    reference.P = model.initial_std->cwiseAbs2().asDiagonal();
    Twin twin = make_twin(model, ungated());
    TwinStep out = twin.make_record();
    VectorXd x = reference.x;
    for (int k = 0; k < 30; ++k) {
      const VectorXd u = random_matrix(engine, m, 1);
      if (k > 0) {
        x = (reference.A * x + reference.first * reference.before + reference.second * u + reference.d).eval();
        reference.move(u);
      }
      reference.before = u;
      const VectorXd y = reference.C * x + reference.D * u + 0.1 * random_matrix(engine, p, 1);
      signals::Frame frame = frame_of(u + model.u_op, y + model.y_op);
      mask_outputs(frame, engine);
      twin.step(frame, out);
      const VectorXd expected = reference.C * reference.x + reference.D * u + model.y_op;
      for (Index i = 0; i < p; ++i) {
        REQUIRE(std::abs(out.outputs[static_cast<std::size_t>(i)].expected - expected(i)) < 1e-10);
      }
      for (Index i = 0; i < p; ++i) {
        if (frame.outputs[static_cast<std::size_t>(i)].fresh) reference.fuse(i, y(i), u);
      }
      REQUIRE((vector(out.x) - reference.x - model.x_op).norm() < 1e-10);
      REQUIRE((vector(out.std) - reference.P.diagonal().cwiseSqrt()).norm() < 1e-10);
    }
  }
}

TEST_CASE("A ramp is followed without an error where held inputs lag by half a step") {
  for (const bool ramps : {true, false}) {
    const model::StateSpace model = ramps ? built(follower()) : held_inputs(follower());
    Twin twin = make_twin(model, ungated());
    TwinStep out = twin.make_record();
    // ẋ = u − x with u = t and x(0) = 1: x = t − 1 + 2 e^{−t}.
    double worst = 0.0;
    for (int k = 0; k < 50; ++k) {
      const double t = kPeriod * k;
      signals::Frame frame = frame_of(one(t), one(0.0));
      frame.outputs[0].fresh = false;
      twin.step(frame, out);
      worst = std::max(worst, std::abs(out.x[0] - (t - 1.0 + 2.0 * std::exp(-t))));
    }
    if (ramps) {
      CHECK(worst < 1e-13);
    } else {
      CHECK(worst > 0.4 * kPeriod);
    }
  }
}

TEST_CASE("With foh the initial state and its limits are those of x, whatever the first input") {
  model::ModelSettings settings = follower();
  settings.states[0].max = 1.5;
  const model::StateSpace model = built(settings);
  Twin twin = make_twin(model, ungated());
  TwinStep out = twin.make_record();
  signals::Frame frame = frame_of(one(100.0), one(0.0));
  frame.outputs[0].fresh = false;
  twin.step(frame, out);
  CHECK(out.x[0] == Approx(1.0).epsilon(1e-14));
  CHECK(out.outputs[0].expected == Approx(1.0).epsilon(1e-14));
  CHECK(out.std[0] == Approx(0.1).epsilon(1e-14));
  twin.step(frame, out);  // towards 100
  CHECK(out.x[0] == 1.5);
  frame.inputs[0].value = -100.0;
  twin.step(frame, out);  // on from the limit, the input running from 100 to −100
  const double decay = std::exp(-kPeriod);
  const double second = (decay - 1.0 + kPeriod) / kPeriod;
  const double first = 1.0 - decay - second;
  CHECK(out.x[0] == Approx(1.5 * decay + 100.0 * first - 100.0 * second).epsilon(1e-12));
}

TEST_CASE("With foh a start that is estimated finds x, also after a roll-back") {
  std::mt19937_64 engine(52);
  model::ModelSettings settings = random_settings(engine, 3, 1, 1);
  for (auto& state : settings.states) {
    state.initial = state.initial_std = std::nullopt;
    state.min = -1e4;
    state.max = 1e4;
  }
  settings.D = {{0.0}};
  const model::StateSpace model = built(settings);
  const Reference plant(held_inputs(settings), model);
  Twin twin = make_twin(model, ungated());
  TwinStep out = twin.make_record();
  VectorXd x = random_matrix(engine, 3, 1);
  VectorXd before = one(0.0);
  int told = 0;
  for (int k = 0; k < 80; ++k) {
    const VectorXd u = one(5.0 + std::sin(0.3 * k));
    if (k > 0) x = (plant.A * x + plant.first * before + plant.second * u + plant.d).eval();
    before = u;
    VectorXd y = plant.C * x + model.y_op;
    if (k == 40) y(0) = std::numeric_limits<double>::max();  // throws the state out
    twin.step(frame_of(u + model.u_op, y), out);
    if (k == 40) CHECK(out.mode == Mode::lost);
    if (out.mode == Mode::initializing || k == 40) continue;
    ++told;
    REQUIRE((vector(out.x) - x - model.x_op).norm() < 1e-3);
  }
  CHECK(told > 50);
}

TEST_CASE("With foh and a dead time of whole steps the ramp comes later") {
  const model::StateSpace model = built(follower(), {3 * kPeriod});
  Twin twin = make_twin(model, ungated());
  TwinStep out = twin.make_record();
  for (int k = 0; k < 50; ++k) {
    const double t = std::max(0.0, kPeriod * (k - 3));
    signals::Frame frame = frame_of(one(kPeriod * k), one(0.0));
    frame.outputs[0].fresh = false;
    twin.step(frame, out);
    const double expected = k < 3 ? std::exp(-kPeriod * k) : t - 1.0 + (1.0 + std::exp(-kPeriod * 3)) * std::exp(-t);
    CHECK(out.x[0] == Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("With foh a bad input hides the outputs that D feeds, and no others") {
  model::ModelSettings settings = follower();
  settings.outputs.push_back({"sum", "", {}, 0.1, {}});
  settings.C.push_back({1.0});
  settings.D = {{0.0}, {0.5}};
  Twin twin = make_twin(built(settings), ungated());
  TwinStep out = twin.make_record();
  signals::Frame frame = frame_of(one(1.0), VectorXd::Constant(2, 1.0));
  frame.inputs[0].quality = signals::Quality::bad;
  frame.inputs[0].reason = signals::Reason::stale;
  twin.step(frame, out);
  CHECK(out.outputs[0].fused);
  CHECK_FALSE(out.outputs[1].fused);
}
