// Augmented states that are considered and not estimated: the filter against its equations, and when a twin does it.
#include <Eigen/LU>
#include <chrono>
#include <cmath>

#include "model/augment.hpp"
#include "plants_for_tests.hpp"
#include "reference_filter.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using model::AugmentKind;

namespace {

model::StateSpace biased(model::StateSpace model) {
  model::augment(model,
                 {augmented_entry(AugmentKind::sensor_bias, "y1", 0.05, 2.0),
                  augmented_entry(AugmentKind::input_disturbance, "u1", 0.05, 2.0)},
                 false);
  return model;
}

bool near(const MatrixXd& left, const MatrixXd& right) {
  return (left - right).cwiseAbs().maxCoeff() <= 1e-9 * std::max(1.0, right.cwiseAbs().maxCoeff());
}

}  // namespace

TEST_CASE("Considered states stay where they are and P is that of the equations") {
  std::mt19937_64 engine(61);
  for (int round = 0; round < 60; ++round) {
    const auto n = static_cast<Index>(1 + engine() % 5);
    const auto p = static_cast<Index>(1 + engine() % 3);
    constexpr Noise kNoises[] = {Noise::independent, Noise::full_R, Noise::correlated, Noise::rank_deficient};
    const model::StateSpace model = biased(random_model(engine, n, 1, p, kNoises[round % 4]));
    VectorXd std = random_matrix(engine, model.n_x(), 1).cwiseAbs();
    if (round % 5 == 0) std(model.n_x() - 1) = 0.0;
    const VectorXd start = random_matrix(engine, model.n_x(), 1);
    KalmanFilter filter(model);
    filter.reset(start, std);
    ReferenceFilter reference{model, start, std.cwiseAbs2().asDiagonal(), {}, {}, {}, {}};
    Plant plant(model, 200 + static_cast<std::uint64_t>(round), start);
    for (int k = 0; k < 40; ++k) {
      reference.considered = engine() % 3 == 0 ? 0 : 2;
      filter.consider_augmented(reference.considered > 0);
      const VectorXd u = random_matrix(engine, 1, 1);
      const VectorXd y = plant.step(u);
      const std::vector<std::uint8_t> good = random_mask(engine, p);
      std::vector<std::uint8_t> used = good;
      for (auto& row : used) row = row != 0 && engine() % 8 != 0;
      const VectorXd before = vector(filter.x_prior());
      filter.expect(span(u));
      const double nis = filter.fuse(span(y), good, used);
      const VectorXd x_post = vector(filter.x_post());
      const MatrixXd P_post = filter.covariance_post();
      const double known = filter.own_spread();
      REQUIRE(filter.predict(span(u)));
      reference.step(u, y, good, used);

      CAPTURE(round, n, p, k, reference.considered);
      if (reference.considered > 0) REQUIRE(x_post.tail(2) == before.tail(2));
      REQUIRE(near(x_post, reference.x_post));
      REQUIRE(near(P_post, reference.P_post));
      REQUIRE(near(vector(filter.x_prior()), reference.x));
      REQUIRE(near(filter.covariance_prior(), reference.P));
      REQUIRE(std::isnan(nis) == std::isnan(reference.nis));
      if (!std::isnan(nis)) REQUIRE(std::abs(nis - reference.nis) <= 1e-8 * std::max(1.0, reference.nis));
      const Index own = model.n_own();
      const MatrixXd a = P_post.bottomRightCorner(2, 2);
      if (a.determinant() > 1e-6) {
        const MatrixXd given = P_post.topLeftCorner(own, own) -
                               P_post.topRightCorner(own, 2) * a.inverse() * P_post.bottomLeftCorner(2, own);
        REQUIRE(std::abs(known - given.trace()) <= 1e-8 * std::max(1.0, P_post.trace()));
      }
    }
  }
}

TEST_CASE("What a twin has learnt of biases and disturbances stays while a sensor is missing") {
  model::StateSpace model = biased(lags(2));
  REQUIRE(model::indistinguishable(model).empty());
  model.initial = VectorXd::Zero(model.n_x());
  model.initial_std = VectorXd::Constant(model.n_x(), 1.0);
  Plant plant(model, 5, VectorXd::Zero(model.n_x()));
  TwinSettings settings;
  settings.gate.reset();
  settings.unfused_limit = 0s;
  settings.history = 1;
  Twin twin = make_twin(model, settings);
  TwinStep step = twin.make_record();
  std::int64_t k = 0;
  const auto advance = [&](bool first_is_heard) {
    const VectorXd u = VectorXd::Constant(1, k % 40 < 20 ? 1.0 : -1.0);
    signals::Frame frame = frame_of(u, plant.step(u), k++);
    frame.outputs[0].fresh = first_is_heard;
    twin.step(frame, step);
  };
  const auto learnt = [&] { return std::vector<double>(step.x.end() - 2, step.x.end()); };
  while (k < 300) advance(true);
  REQUIRE(step.mode == Mode::tracking);

  while (step.mode != Mode::degraded) advance(false);
  const std::vector<double> known = learnt();
  const double std = step.std.back();
  int moved = 0;
  for (int i = 0; i < 50; ++i) {
    const double before = step.x[1];
    advance(false);
    REQUIRE(step.mode == Mode::degraded);
    CHECK(learnt() == known);
    moved += step.x[1] != before ? 1 : 0;
  }
  CHECK(moved == 50);
  CHECK(step.std.back() > std);  // the random walk goes on

  advance(true);  // the mode of the step before decides
  CHECK(learnt() == known);
  for (int i = 0; i < 5; ++i) advance(true);
  CHECK(step.mode == Mode::tracking);
  CHECK(learnt() != known);
  // Taking back steps takes back the decision.
  Twin::Memory memory;
  while (step.mode != Mode::degraded) advance(false);
  twin.remember(memory);
  const signals::Frame frame = frame_of(VectorXd::Zero(1), VectorXd::Zero(2), k);
  twin.step(frame, step);
  const auto once = step.x;
  twin.recall(memory);
  twin.step(frame, step);
  CHECK(step.x == once);
}
