// How a twin starts whose model does not say where: what the first steps tell of the state, and how well.
#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <cmath>
#include <vector>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using signals::Quality;

namespace {

struct Row {  // one usable value of the window
  int step;
  Index output;
  double value;
};

struct Window {
  std::vector<VectorXd> u;
  std::vector<Row> rows;
};

struct Estimate {
  VectorXd x;  // of the step after the window
  MatrixXd P;
};

// Best linear unbiased estimate from all rows at once: x(k) = Φ_k x(0) + f_k + e_k with x(0) unknown and the e_k and
// the measurement errors jointly of the covariance that the noises give them. No recursion over measurements, no prior.
Estimate batch_estimate(const model::StateSpace& model, const Window& window) {
  const auto steps = static_cast<Index>(window.u.size());
  const auto count = static_cast<Index>(window.rows.size());
  const Index n = model.n_x();
  const Index p = model.n_y();
  const Index block = n + p;  // noises of one step: w, v
  MatrixXd noise = MatrixXd::Zero(block * steps, block * steps);
  MatrixXd joint(block, block);
  joint << model.Q, model.S, model.S.transpose(), model.R;
  for (Index k = 0; k < steps; ++k) noise.block(k * block, k * block, block, block) = joint;

  MatrixXd transition = MatrixXd::Identity(n, n);
  MatrixXd from_noise = MatrixXd::Zero(n, block * steps);
  VectorXd forced = VectorXd::Zero(n);
  MatrixXd H(count, n);
  MatrixXd G(count, block * steps);
  VectorXd y(count);
  Index at = 0;
  for (Index k = 0; k < steps; ++k) {
    const VectorXd& u = window.u[static_cast<std::size_t>(k)];
    for (; at < count && window.rows[static_cast<std::size_t>(at)].step == k; ++at) {
      const Row& row = window.rows[static_cast<std::size_t>(at)];
      H.row(at) = model.C.row(row.output) * transition;
      G.row(at) = model.C.row(row.output) * from_noise;
      G(at, k * block + n + row.output) += 1.0;
      y(at) = row.value - model.C.row(row.output).dot(forced) - model.D.row(row.output).dot(u);
    }
    transition = (model.A * transition).eval();
    from_noise = (model.A * from_noise).eval();
    from_noise.block(0, k * block, n, n).setIdentity();
    forced = (model.A * forced + model.B * u + model.d).eval();
  }
  const MatrixXd V = G * noise * G.transpose();
  const MatrixXd V_tail = from_noise * noise * G.transpose();
  const Eigen::LDLT<MatrixXd> V_factor(V);
  const MatrixXd information = H.transpose() * V_factor.solve(H);
  const Eigen::LDLT<MatrixXd> factor(information);
  const VectorXd start = factor.solve(H.transpose() * V_factor.solve(y));
  const MatrixXd from_start = transition - V_tail * V_factor.solve(H);
  return {from_start * start + forced + V_tail * V_factor.solve(y),
          from_noise * noise * from_noise.transpose() - V_tail * V_factor.solve(V_tail.transpose()) +
              from_start * factor.solve(from_start.transpose())};
}

Estimate estimate_of(const Twin& twin) {
  const auto x = twin.filter().x_prior();
  return {Eigen::Map<const VectorXd>(x.data(), static_cast<Index>(x.size())), twin.filter().covariance_prior()};
}

// Lets a twin of `model` and its plant run through `steps` steps.
Window run(Twin& twin, Plant& plant, const model::StateSpace& model, int steps, bool masked) {
  Window window;
  TwinStep out = twin.make_record();
  for (int k = 0; k < steps; ++k) {
    const VectorXd u = random_matrix(plant.engine(), model.n_u(), 1);
    const VectorXd y = plant.step(u);
    signals::Frame frame = frame_of(u, y, k);
    if (masked) mask_outputs(frame, plant.engine());
    for (Index i = 0; i < model.n_y(); ++i) {
      if (frame.outputs[static_cast<std::size_t>(i)].fresh) window.rows.push_back({k, i, y(i)});
    }
    window.u.push_back(u);
    twin.step(frame, out);
    REQUIRE(out.mode == Mode::initializing);
  }
  return window;
}

int window_of(const model::StateSpace& model) { return std::max(10, 2 * static_cast<int>(model.n_x())); }

// Of the state that a start over the window tells, in terms of its covariance: n_x where the covariance is honest.
double mean_squared_error(const model::StateSpace& model, std::mt19937_64& engine, bool masked) {
  constexpr int kRuns = 500;
  const Twin fresh = make_twin(model);
  double sum = 0.0;
  for (int i = 0; i < kRuns; ++i) {
    Twin twin = fresh;
    Plant plant(model, engine(), 100.0 * random_matrix(engine, model.n_x(), 1));
    run(twin, plant, model, window_of(model), masked);
    plant.step(VectorXd::Zero(1));  // the plant stands at the step to come
    const Estimate start = estimate_of(twin);
    const VectorXd error = start.x - plant.x();
    sum += error.dot(start.P.ldlt().solve(error));
  }
  return sum / kRuns;
}

void check_equal(const Estimate& found, const Estimate& expected, double tolerance) {
  const VectorXd std = expected.P.diagonal().cwiseMax(0.0).cwiseSqrt();
  for (Index i = 0; i < std.size(); ++i) {
    CHECK(std::abs(found.x(i) - expected.x(i)) <= tolerance * (std(i) + std::abs(expected.x(i))));
    for (Index j = 0; j < std.size(); ++j) {
      CHECK(std::abs(found.P(i, j) - expected.P(i, j)) <= tolerance * std(i) * std(j));
    }
  }
}

}  // namespace

TEST_CASE("The estimated start and its covariance are those of least squares over the whole window at once") {
  std::mt19937_64 engine(71);
  for (const Noise noise : {Noise::independent, Noise::full_R, Noise::correlated, Noise::rank_deficient}) {
    for (const bool masked : {false, true}) {
      for (const Index n : {1, 3, 6}) {
        model::StateSpace model = random_model(engine, n, 2, 2, noise);
        model.initial.reset();
        model.d = VectorXd::LinSpaced(n, -0.1, 0.2);
        CAPTURE(static_cast<int>(noise), masked, n);
        Twin twin = make_twin(model);
        Plant plant(model, engine(), 30.0 * random_matrix(engine, n, 1));
        const Window window = run(twin, plant, model, window_of(model), masked);
        check_equal(estimate_of(twin), batch_estimate(model, window), 1e-6);
      }
    }
  }
}

TEST_CASE("Without process noise the estimated start is plain weighted least squares with its covariance") {
  std::mt19937_64 engine(72);
  for (const bool masked : {false, true}) {
    model::StateSpace model = random_model(engine, 3, 1, 2, Noise::independent);
    model.initial.reset();
    model.Q.setZero();
    Twin twin = make_twin(model);
    Plant plant(model, 73, VectorXd::LinSpaced(3, -20.0, 30.0));
    const Window window = run(twin, plant, model, 10, masked);

    MatrixXd transition = MatrixXd::Identity(3, 3);
    VectorXd forced = VectorXd::Zero(3);
    MatrixXd information = MatrixXd::Zero(3, 3);
    VectorXd right = VectorXd::Zero(3);
    std::size_t at = 0;
    for (int k = 0; k < 10; ++k) {
      const VectorXd& u = window.u[static_cast<std::size_t>(k)];
      for (; at < window.rows.size() && window.rows[at].step == k; ++at) {
        const Index i = window.rows[at].output;
        const VectorXd row = (model.C.row(i) * transition).transpose();
        const double y = window.rows[at].value - model.C.row(i).dot(forced) - model.D.row(i).dot(u);
        information += row * row.transpose() / model.R(i, i);
        right += row * y / model.R(i, i);
      }
      transition = (model.A * transition).eval();
      forced = (model.A * forced + model.B * u).eval();
    }
    const Eigen::LDLT<MatrixXd> factor(information);
    const Estimate plain{transition * factor.solve(right) + forced, transition * factor.solve(transition.transpose())};
    check_equal(estimate_of(twin), plain, 1e-6);
  }
}

TEST_CASE("The error of the estimated start is as large as its covariance says") {
  std::mt19937_64 engine(74);
  for (const Noise noise : {Noise::independent, Noise::full_R, Noise::correlated}) {
    for (const Index n : {2, 4}) {
      model::StateSpace model = random_model(engine, n, 1, 1 + n / 4, noise);
      model.initial.reset();
      CAPTURE(static_cast<int>(noise), n);
      CHECK(mean_squared_error(model, engine, false) == Approx(static_cast<double>(n)).epsilon(0.15));
      CHECK(mean_squared_error(model, engine, true) == Approx(static_cast<double>(n)).epsilon(0.15));
    }
  }
}

TEST_CASE("The error of the estimated start is as large as told for a chain of integrators that hardly shows its end") {
  model::StateSpace model = lags(1);
  const double step = model.sample_time;
  model.A = MatrixXd::Identity(4, 4);
  for (Index i = 0; i < 3; ++i) model.A(i, i + 1) = step;
  model.B = MatrixXd::Zero(4, 1);
  model.B(3, 0) = step;
  model.C = MatrixXd::Identity(1, 4);
  model.d = model.x_op = VectorXd::Zero(4);
  model.Q = VectorXd::Constant(4, 1e-4).asDiagonal();
  model.S = MatrixXd::Zero(4, 1);
  model.states.resize(4, model.states[0]);
  model.initial.reset();
  std::mt19937_64 engine(81);
  CHECK(mean_squared_error(model, engine, false) == Approx(4.0).epsilon(0.15));
  CHECK(mean_squared_error(model, engine, true) == Approx(4.0).epsilon(0.15));
}

TEST_CASE("In the innovations form the first prediction after an estimated start errs as it says") {
  std::mt19937_64 engine(75);
  model::StateSpace model = random_model(engine, 4, 1, 2, Noise::innovations);
  model.initial.reset();
  const Twin fresh = make_twin(model);
  double sum = 0.0;
  for (int i = 0; i < 500; ++i) {
    Twin twin = fresh;
    Plant plant(model, engine(), 10.0 * random_matrix(engine, 4, 1));
    run(twin, plant, model, 10, false);
    TwinStep out = twin.make_record();
    twin.step(frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1))), out);
    REQUIRE(out.nis_dof == 2);
    sum += out.nis;
  }
  CHECK(sum / 500.0 == Approx(2.0).epsilon(0.15));
}

// A small thermal plant of which one sensor shows one combination: the second state shows itself through the first
// only.
TEST_CASE(
    "A twin with process noise and little excitation converges from its estimated start instead of tracking at once") {
  model::StateSpace model = lags(2);
  model.A << 0.95, 0.07, 0.01, 0.82;
  model.C = (MatrixXd(1, 2) << 1.0, 0.5).finished();
  model.D = MatrixXd::Zero(1, 1);
  model.R = MatrixXd::Constant(1, 1, 2.5e-3);
  model.S = MatrixXd::Zero(2, 1);
  model.Q = 2e-3 * MatrixXd::Identity(2, 2);
  model.outputs.resize(1);
  model.initial.reset();
  const VectorXd usual = model::steady_state(model).value().P_post.diagonal().cwiseSqrt();
  std::mt19937_64 engine(76);
  int converging = 0;
  int far = 0;
  for (int i = 0; i < 200; ++i) {
    Twin twin = make_twin(model);
    TwinStep out = twin.make_record();
    Plant plant(model, engine(), random_matrix(engine, 2, 1));
    run(twin, plant, model, 10, false);
    twin.step(frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1))), out);
    converging += out.mode == Mode::converging;
    CHECK(out.outputs[0].fused);
    CHECK(out.std[1] > 1.4 * usual(1));
    for (std::size_t j = 0; j < 2; ++j) far += std::abs(out.x[j] - plant.x()(static_cast<Index>(j))) > 3.0 * out.std[j];
    for (int k = 0; k < 300; ++k) twin.step(frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1))), out);
    CHECK(out.mode == Mode::tracking);
  }
  CHECK(converging == 200);
  CHECK(far <= 6);  // 400 times 0.27 %
}

TEST_CASE("A state whose sensor is silent during the start is told as unknown and found with its first value") {
  model::StateSpace model = lags(2);
  model.initial.reset();
  Twin twin = make_twin(model);
  TwinStep out = twin.make_record();
  Plant plant(model, 77, Eigen::Vector2d(5.0, 5000.0));
  for (int k = 0; k < 15; ++k) {
    signals::Frame frame = frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1)), k);
    frame.outputs[1].fresh = false;
    twin.step(frame, out);
  }
  CHECK(out.mode == Mode::lost);
  CHECK(std::abs(out.x[0] - plant.x()(0)) < 5.0 * out.std[0]);
  CHECK(out.std[0] < 0.1);
  CHECK(out.std[1] > plant.x()(1));
  twin.step(frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1)), 15), out);
  CHECK(out.outputs[1].fused);
  CHECK(out.outputs[1].quality == Quality::good);
  CHECK(out.mode != Mode::lost);
  CHECK(out.std[1] == Approx(0.1).epsilon(1e-6));
  CHECK(std::abs(out.x[1] - plant.x()(1)) < 5.0 * out.std[1]);
}

TEST_CASE("A state that no output ever shows starts as wide as it may be without being lost and narrows by itself") {
  for (const bool limited : {false, true}) {
    model::StateSpace model = lags(2);
    model.A(1, 0) = 0.05;
    model.initial.reset();
    if (limited) model.states[1].limits = {-1.0, 3.0};
    TwinSettings settings;
    settings.mapped = {true, false};
    Twin twin = make_twin(model, settings);
    TwinStep out = twin.make_record();
    const double widest = limited ? 2.0 : 1000.0 * std::sqrt(model::steady_state(model, {0}).value().P_post(1, 1));
    for (int k = 0; k < 11; ++k) twin.step(frame_of(VectorXd::Zero(1), VectorXd::Zero(2), k), out);
    CHECK(out.mode == Mode::converging);
    CHECK(out.std[1] == Approx(widest * std::pow(0.9, 10)).epsilon(0.01));
    for (int k = 0; k < 300; ++k) twin.step(frame_of(VectorXd::Zero(1), VectorXd::Zero(2), k), out);
    CHECK(out.mode == Mode::tracking);
  }
}

TEST_CASE("States in very different units start as well as states in like ones") {
  std::mt19937_64 engine(78);
  model::StateSpace model = random_model(engine, 4, 1, 2, Noise::correlated);
  model.initial.reset();
  model::StateSpace other = model;
  const VectorXd unit = (VectorXd(4) << 1e6, 1e-6, 1.0, 1e3).finished();
  const VectorXd output_unit = (VectorXd(2) << 1e-5, 1e5).finished();
  const MatrixXd T = unit.asDiagonal();
  const MatrixXd U = output_unit.asDiagonal();
  other.A = T * model.A * T.inverse();
  other.B = T * model.B;
  other.C = U * model.C * T.inverse();
  other.D = U * model.D;
  other.Q = T * model.Q * T;
  other.S = T * model.S * U;
  other.R = U * model.R * U;
  Twin twin = make_twin(model);
  Twin rescaled = make_twin(other);
  TwinStep out = twin.make_record();
  TwinStep other_out = rescaled.make_record();
  Plant plant(model, 79, VectorXd::LinSpaced(4, -3.0, 5.0));
  for (int k = 0; k < 10; ++k) {
    const VectorXd u = random_matrix(engine, 1, 1);
    const VectorXd y = plant.step(u);
    twin.step(frame_of(u, y, k), out);
    rescaled.step(frame_of(u, U * y, k), other_out);
  }
  const Estimate expected = estimate_of(twin);
  check_equal(estimate_of(rescaled), {T * expected.x, T * expected.P * T}, 1e-7);
}

TEST_CASE("A start that was broken off leaves no trace in the one after it") {
  model::StateSpace model = lags(2);
  model.B.setConstant(10.0);
  model.initial.reset();
  Twin twin = make_twin(model);
  Twin clean = make_twin(model);
  TwinStep out = twin.make_record();
  Plant plant(model, 80, Eigen::Vector2d(5.0, -4.0));
  for (int k = 0; k < 4; ++k) twin.step(frame_of(VectorXd::Zero(1), VectorXd::Constant(2, 1e3), k), out);
  twin.step(frame_of(VectorXd::Constant(1, 1.7e308), VectorXd::Zero(2), 4), out);
  CHECK(out.mode == Mode::initializing);
  for (int k = 5; k < 15; ++k) {
    const signals::Frame frame = frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1)), k);
    twin.step(frame, out);
    CHECK(out.mode == Mode::initializing);
    clean.step(frame, out);
  }
  CHECK(estimate_of(twin).x == estimate_of(clean).x);
  CHECK(estimate_of(twin).P == estimate_of(clean).P);
  twin.step(frame_of(VectorXd::Zero(1), plant.step(VectorXd::Zero(1)), 15), out);
  CHECK(out.mode != Mode::initializing);
}

TEST_CASE("What a twin that estimates its start begins with elsewhere is the prior of that and never loses it") {
  model::StateSpace model = lags(3);
  model.initial.reset();
  model.states[0].limits = {-2.0, 4.0};
  model.x_op << 1.0, 2.0, 3.0;
  Twin twin = make_twin(model);
  CHECK(twin.usual_start() == model.x_op);
  CHECK(twin.usual_start_std()(0) == Approx(1.5));
  TwinStep out = twin.make_record();
  // As wide as steady-state standard deviations allow, not the few hundredths that steady state itself would be.
  for (Index i = 1; i < 3; ++i) CHECK(twin.usual_start_std()(i) > 1.0);
  twin.start_at(twin.usual_start(), twin.usual_start_std());
  signals::Frame frame = frame_of(VectorXd::Zero(1), VectorXd::Zero(3));
  for (auto& row : frame.outputs) row.fresh = false;
  twin.step(frame, out);
  CHECK(out.mode != Mode::lost);

  model.initial = VectorXd::Constant(3, 1.5);
  model.initial_std = VectorXd::Constant(3, 0.25);
  const Twin told = make_twin(model);
  CHECK(told.usual_start() == *model.initial);
  CHECK(told.usual_start_std() == *model.initial_std);
}
