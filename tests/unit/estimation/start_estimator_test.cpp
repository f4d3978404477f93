#include "twinkeeper/estimation/start_estimator.hpp"

#include "plants_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Runs a noiseless plant from `x` past the estimator; returns the state after the last step.
VectorXd run(StartEstimator& start, const model::StateSpace& model, VectorXd x, int steps, std::mt19937_64& engine,
             bool masked) {
  for (int k = 0; k < steps; ++k) {
    const VectorXd u = random_matrix(engine, model.n_u(), 1);
    const VectorXd y = model.C * x + model.D * u;
    std::vector<std::uint8_t> usable(static_cast<std::size_t>(model.n_y()), 1);
    if (masked) usable = random_mask(engine, model.n_y());
    start.add({u.data(), static_cast<std::size_t>(u.size())}, {y.data(), static_cast<std::size_t>(y.size())}, usable);
    x = (model.A * x + model.B * u + model.d).eval();
  }
  return x;
}

}  // namespace

TEST_CASE("The start estimator finds the state of a noiseless plant exactly with or without missing rows") {
  std::mt19937_64 engine(21);
  for (const bool masked : {false, true}) {
    model::StateSpace model = random_model(engine, 4, 2, 2, Noise::full_R);
    model.d = VectorXd::LinSpaced(4, -0.1, 0.1);
    StartEstimator start(model);
    const VectorXd truth = run(start, model, VectorXd::LinSpaced(4, -2.0, 3.0), 10, engine, masked);
    CHECK((start.estimate() - truth).norm() < 1e-8 * truth.norm());
    CHECK(start.steps() == 10);
  }
}

TEST_CASE("The start estimator leaves at zero what no output shows") {
  model::StateSpace model = lags(2);
  model.C.row(1).setZero();
  StartEstimator start(model);
  std::mt19937_64 engine(22);
  const VectorXd truth = run(start, model, VectorXd::Constant(2, 5.0), 10, engine, false);
  const VectorXd found = start.estimate();
  CHECK(found(0) == Approx(truth(0)).epsilon(1e-10));
  CHECK(found(1) == Approx(truth(1) - 5.0 * std::pow(0.9, 10)).epsilon(1e-6));
}

TEST_CASE("The start estimator forgets everything at a restart") {
  model::StateSpace model = lags(2);
  StartEstimator start(model);
  std::mt19937_64 engine(23);
  run(start, model, VectorXd::Constant(2, 50.0), 10, engine, false);
  start.restart();
  CHECK(start.values() == 0);
  const VectorXd truth = run(start, model, VectorXd::Constant(2, -1.0), 10, engine, false);
  CHECK((start.estimate() - truth).norm() < 1e-10);
}
