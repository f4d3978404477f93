#include "twinkeeper/prediction/forecast.hpp"

#include <cmath>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::prediction;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using estimation::Noise;

namespace {

void hold(std::int64_t, std::span<double>) {}

}  // namespace

TEST_CASE("The normal quantile is that of the tables, symmetric and monotonic") {
  CHECK(normal_quantile(0.5) == Approx(0.0).margin(1e-15));
  CHECK(normal_quantile(0.95) == Approx(1.6448536269514722).epsilon(1e-13));
  CHECK(normal_quantile(0.995) == Approx(2.5758293035489004).epsilon(1e-13));
  CHECK(normal_quantile(1e-9) == Approx(-5.9978070150076869).epsilon(1e-11));
  double last = -100.0;
  for (int i = 1; i < 1000; ++i) {
    const double z = normal_quantile(i / 1000.0);
    CHECK(z > last);
    CHECK(z == Approx(-normal_quantile(1.0 - i / 1000.0)).margin(1e-12));
    last = z;
  }
}

TEST_CASE("A forecast is the model's own propagation of mean and covariance") {
  std::mt19937_64 engine(41);
  for (int round = 0; round < 60; ++round) {
    const Index n = 1 + round % 5, m = round % 3, p = 1 + round % 3;
    CAPTURE(round, n, m, p);
    model::StateSpace model = estimation::random_model(engine, n, m, p, Noise::full_R);
    model.initial = model.x_op + estimation::random_matrix(engine, n, 1);
    model.initial_std = estimation::random_matrix(engine, n, 1).cwiseAbs();
    VectorXd x = *model.initial - model.x_op;
    MatrixXd P = model.initial_std->cwiseAbs2().asDiagonal();
    const VectorXd u = estimation::random_matrix(engine, m, 1);
    const double z = normal_quantile(0.9);
    std::int64_t calls = 0;
    const auto profile = [&](std::int64_t step, std::span<double> out) {
      // Given once, held from then on.
      for (Index j = 0; j < m && step == 3; ++j) out[static_cast<std::size_t>(j)] = model.u_op(j) + u(j);
    };
    forecast(estimation::make_twin(model), profile, 30, 0.8, [&](const ForecastStep& step) {
      CHECK(step.step == calls++);
      const VectorXd driven = step.step >= 3 ? u : VectorXd(VectorXd::Zero(m));
      const VectorXd y = model.C * x + model.D * driven + model.y_op;
      const MatrixXd Sigma = model.C * P * model.C.transpose() + model.R;
      for (Index i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const double std = std::sqrt(P(i, i));
        CHECK(step.x[k] == Approx(x(i) + model.x_op(i)).epsilon(1e-9).margin(1e-9));
        CHECK(step.std[k] == Approx(std).epsilon(1e-9).margin(1e-12));
        CHECK(step.x_band[k].high - step.x[k] == Approx(z * std).epsilon(1e-8).margin(1e-9));
      }
      for (Index i = 0; i < p; ++i) {
        const auto k = static_cast<std::size_t>(i);
        CHECK(step.y[k] == Approx(y(i)).epsilon(1e-9).margin(1e-9));
        CHECK(step.y_std[k] == Approx(std::sqrt(Sigma(i, i))).epsilon(1e-9));
        CHECK(step.y_band[k].low == Approx(step.y[k] - z * step.y_std[k]).epsilon(1e-9).margin(1e-9));
      }
      x = (model.A * x + model.B * driven + model.d).eval();
      P = (model.A * P * model.A.transpose() + model.Q).eval();
    });
    CHECK(calls == 30);
  }
}

TEST_CASE("Bands of 90 % hold in 88 to 92 of 100 cases of matched plants, at any distance") {
  std::mt19937_64 engine(42);
  const model::StateSpace model = estimation::random_model(engine, 4, 0, 2, Noise::independent);
  estimation::Twin twin = estimation::make_twin(model);
  estimation::TwinStep step = twin.make_record();
  estimation::Plant plant(model, 9, VectorXd::Zero(4));
  constexpr std::int64_t kAhead = 20;
  constexpr int kRounds = 2000;
  std::vector<int> within(kAhead, 0);
  for (int k = 0; k < 200; ++k) {
    twin.step(estimation::frame_of(VectorXd(0), plant.step(VectorXd(0)) + model.y_op, k), step);
  }
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<Band>> bands;
    forecast(twin, hold, kAhead, 0.9, [&](const ForecastStep& told) { bands.push_back(told.y_band); });
    for (std::int64_t j = 0; j < kAhead; ++j) {
      const VectorXd y = plant.step(VectorXd(0)) + model.y_op;
      twin.step(estimation::frame_of(VectorXd(0), y), step);
      const Band& band = bands[static_cast<std::size_t>(j)][0];
      within[static_cast<std::size_t>(j)] += y(0) >= band.low && y(0) <= band.high ? 1 : 0;
    }
  }
  for (const int count : within) {
    CHECK(count >= 0.88 * kRounds);
    CHECK(count <= 0.92 * kRounds);
  }
}

TEST_CASE(
    "A forecast of a nonlinear template comes to the rest that its inputs call for, with bands inside the limits") {
  model::StateSpace model = estimation::two_tanks(true);
  model.inputs[0].limits.max = 7.0;  // the first tank overflows
  double last_u = 0.0;
  VectorXd settled;
  forecast(
      estimation::make_twin(model), [&](std::int64_t, std::span<double> u) { u[0] = 1e9; }, 5000, 0.99,
      [&](const ForecastStep& step) {
        last_u = step.u[0];
        for (std::size_t i = 0; i < step.x.size(); ++i) {
          CHECK(std::isfinite(step.x[i]));
          CHECK(step.x_band[i].low >= model.states[i].limits.min);
          CHECK(step.x_band[i].high <= model.states[i].limits.max);
        }
      });
  CHECK(last_u == model.inputs[0].limits.max);
  std::vector<double> end;
  forecast(estimation::make_twin(model), hold, 5000, 0.9, [&](const ForecastStep& step) { end = step.x; });
  for (Index i = 0; i < model.n_x(); ++i)
    CHECK(end[static_cast<std::size_t>(i)] == Approx(model.x_op(i)).epsilon(0.01));
}

TEST_CASE("A forecast leaves the twin alone") {
  std::mt19937_64 engine(43);
  const model::StateSpace model = estimation::random_model(engine, 3, 1, 2, Noise::independent);
  estimation::Twin twin = estimation::make_twin(model);
  std::vector<ForecastStep> first, second;
  forecast(twin, hold, 10, 0.9, [&](const ForecastStep& step) { first.push_back(step); });
  forecast(twin, hold, 10, 0.9, [&](const ForecastStep& step) { second.push_back(step); });
  REQUIRE(first.size() == second.size());
  for (std::size_t j = 0; j < first.size(); ++j) CHECK(first[j].x == second[j].x);
}
