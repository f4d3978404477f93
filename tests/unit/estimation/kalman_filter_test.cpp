#include "twinkeeper/estimation/kalman_filter.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "plants_for_tests.hpp"
#include "reference_filter.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr Noise kNoises[] = {Noise::independent, Noise::full_R, Noise::correlated, Noise::rank_deficient,
                             Noise::innovations};

bool close(const MatrixXd& left, const MatrixXd& right, double relative) {
  return (left - right).norm() <= relative * std::max(1e-3, right.norm());
}

// Sizes on both sides of those the loops are compiled for, and beyond the largest.
struct Size {
  Index n, m, p;
};
Size size_of(int round) {
  constexpr Index kN[] = {1, 2, 3, 4, 5, 8, 10, 16, 19};
  constexpr Index kP[] = {1, 2, 3, 4, 5, 8, 11};
  return {kN[round % 9], round % 4, kP[round % 7]};
}

}  // namespace

TEST_CASE("The sequential square-root filter equals the batch equations for random models and masks") {
  std::mt19937_64 engine(11);
  double worst = 0.0;
  for (int round = 0; round < 315; ++round) {
    const auto [n, m, p] = size_of(round);
    const model::StateSpace model = random_model(engine, n, m, p, kNoises[round % 5]);
    const VectorXd std = random_matrix(engine, n, 1).cwiseAbs();
    const VectorXd start = random_matrix(engine, n, 1);
    KalmanFilter filter(model);
    filter.reset(start, std);
    ReferenceFilter reference{model, start, std.cwiseAbs2().asDiagonal(), {}, {}, {}, {}};
    Plant plant(model, 100 + static_cast<std::uint64_t>(round), start);
    for (int k = 0; k < 30; ++k) {
      const VectorXd u = random_matrix(engine, m, 1);
      const VectorXd y = plant.step(u);
      const std::vector<std::uint8_t> good = random_mask(engine, p);
      std::vector<std::uint8_t> used = good;
      for (auto& row : used) row = row != 0 && engine() % 8 != 0;
      filter.expect(span(u));
      const VectorXd variance = vector(filter.innovation_variance());
      const double nis = filter.fuse(span(y), good, used);
      const VectorXd x_post = vector(filter.x_post());
      const MatrixXd P_post = filter.covariance_post();
      const VectorXd expected = vector(filter.expected());
      REQUIRE(filter.predict(span(u)));
      reference.step(u, y, good, used);

      CAPTURE(round, n, m, p, k);
      REQUIRE(close(expected, reference.expected, 1e-10));
      REQUIRE(close(variance, reference.Sigma.diagonal(), 1e-10));
      REQUIRE(close(x_post, reference.x_post, 1e-10));
      REQUIRE(close(P_post, reference.P_post, 1e-10));
      REQUIRE(close(vector(filter.x_prior()), reference.x, 1e-10));
      REQUIRE(close(filter.covariance_prior(), reference.P, 1e-10));
      REQUIRE(std::isnan(nis) == std::isnan(reference.nis));
      if (!std::isnan(nis)) worst = std::max(worst, std::abs(nis - reference.nis) / reference.nis);
    }
  }
  CHECK(worst < 1e-9);
}

TEST_CASE("The covariance stays symmetric and PSD even when a precise sensor meets an ignorant start") {
  for (const double ratio : {1e4, 1e8, 1e12}) {
    std::mt19937_64 engine(12);
    model::StateSpace model = random_model(engine, 4, 1, 2, Noise::independent);
    model.R = MatrixXd::Identity(2, 2);
    KalmanFilter filter(model);
    filter.reset(VectorXd::Zero(4), VectorXd::Constant(4, std::sqrt(ratio)));
    for (int k = 0; k < 200; ++k) {
      const VectorXd u = random_matrix(engine, 1, 1);
      const VectorXd y = random_matrix(engine, 2, 1);
      const std::vector<std::uint8_t> mask = random_mask(engine, 2);
      filter.expect(span(u));
      filter.fuse(span(y), mask, mask);
      REQUIRE(filter.predict(span(u)));
      const MatrixXd P = filter.covariance_prior();
      REQUIRE((P - P.transpose()).isZero(0.0));
      const VectorXd values = Eigen::SelfAdjointEigenSolver<MatrixXd>(P).eigenvalues();
      REQUIRE(values.minCoeff() >= -1e-14 * values.maxCoeff());
    }
  }
}

TEST_CASE("The order of the outputs does not change what the filter says") {
  std::mt19937_64 engine(13);
  for (const Noise noise : kNoises) {
    const model::StateSpace model = random_model(engine, 5, 2, 4, noise);
    Eigen::PermutationMatrix<Eigen::Dynamic> order(4);
    order.indices() << 2, 0, 3, 1;
    const model::StateSpace shuffled = shuffled_outputs(model, order);
    KalmanFilter left(model);
    KalmanFilter right(shuffled);
    const VectorXd std = VectorXd::Ones(5);
    left.reset(VectorXd::Zero(5), std);
    right.reset(VectorXd::Zero(5), std);
    for (int k = 0; k < 50; ++k) {
      const VectorXd u = random_matrix(engine, 2, 1);
      const VectorXd y = random_matrix(engine, 4, 1);
      const std::vector<std::uint8_t> mask = random_mask(engine, 4);
      std::vector<std::uint8_t> shuffled_mask(4);
      for (Index i = 0; i < 4; ++i) {
        shuffled_mask[static_cast<std::size_t>(order.indices()(i))] = mask[static_cast<std::size_t>(i)];
      }
      left.expect(span(u));
      right.expect(span(u));
      const double nis = left.fuse(span(y), mask, mask);
      const VectorXd y_shuffled = order * y;
      const double nis_shuffled = right.fuse(span(y_shuffled), shuffled_mask, shuffled_mask);
      REQUIRE(left.predict(span(u)));
      REQUIRE(right.predict(span(u)));
      if (!std::isnan(nis)) REQUIRE(nis_shuffled == Approx(nis).epsilon(1e-9));
      REQUIRE(close(vector(right.x_prior()), vector(left.x_prior()), 1e-10));
      REQUIRE(close(right.covariance_prior(), left.covariance_prior(), 1e-10));
    }
  }
}

TEST_CASE("A row that is masked is as good as a row that does not exist to the last bit for every kind of noise") {
  std::mt19937_64 engine(14);
  for (int round = 0; round < 315; ++round) {
    const auto [n, m, more] = size_of(round);
    const Index p = more + 1 + round % 2;  // pairs on both sides of the padded sizes: 2 → 1, 3 → 2, 5 → 4, 9 → 8
    model::StateSpace whole = random_model(engine, n, m, p, kNoises[round % 5]);
    const Index dropped = static_cast<Index>(engine() % static_cast<std::uint64_t>(p));
    if (round % 3 == 1) whole.S.col(dropped).setZero();
    std::vector<Index> kept;
    for (Index i = 0; i < p; ++i) {
      if (i != dropped) kept.push_back(i);
    }
    if (round % 6 == 3 && !whole.innovations_form_only) whole.S(Eigen::all, kept).setZero();
    const model::StateSpace part = without_output(whole, dropped);
    KalmanFilter left(whole);
    KalmanFilter right(part);
    const VectorXd start = random_matrix(engine, n, 1);
    const VectorXd std = random_matrix(engine, n, 1).cwiseAbs();
    left.reset(start, std);
    right.reset(start, std);
    std::vector<double> left_std(static_cast<std::size_t>(n)), right_std(left_std);
    for (int k = 0; k < 30; ++k) {
      CAPTURE(round, n, p, dropped, k);
      const VectorXd u = random_matrix(engine, m, 1);
      VectorXd y = random_matrix(engine, p, 1);
      y(dropped) = std::nan("");
      std::vector<std::uint8_t> mask = random_mask(engine, p);
      if (k % 3 == 0) std::fill(mask.begin(), mask.end(), std::uint8_t{1});
      mask[static_cast<std::size_t>(dropped)] = 0;
      std::vector<std::uint8_t> right_mask = mask;
      right_mask.erase(right_mask.begin() + dropped);
      left.expect(span(u));
      right.expect(span(u));
      const double nis = left.fuse(span(y), mask, mask);
      const double right_nis = right.fuse(span(y(kept)), right_mask, right_mask);
      left.standard_deviations(left_std);
      right.standard_deviations(right_std);
      REQUIRE(same_bits(vector(left.expected())(kept), vector(right.expected())));
      REQUIRE(same_bits(vector(left.innovation_variance())(kept), vector(right.innovation_variance())));
      REQUIRE(same_bits(VectorXd::Constant(1, nis), VectorXd::Constant(1, right_nis)));
      REQUIRE(same_bits(vector(left.x_post()), vector(right.x_post())));
      REQUIRE(left_std == right_std);
      REQUIRE(left.predict(span(u)));
      REQUIRE(right.predict(span(u)));
      REQUIRE(same_bits(vector(left.x_prior()), vector(right.x_prior())));
      REQUIRE(same_bits(left.covariance_prior(), right.covariance_prior()));
    }
  }
}

TEST_CASE("The time-varying filter comes to the steady state that the doubling finds") {
  std::mt19937_64 engine(15);
  for (int round = 0; round < 40; ++round) {
    const auto [n, m, p] = size_of(round);
    const model::StateSpace model = random_model(engine, n, m, p, kNoises[round % 4]);
    const auto steady = model::steady_state(model);
    REQUIRE(steady.ok());
    KalmanFilter filter(model);
    filter.reset(VectorXd::Zero(n), VectorXd::Ones(n));
    const std::vector<std::uint8_t> mask(static_cast<std::size_t>(p), 1);
    const VectorXd u = VectorXd::Zero(m);
    const VectorXd y = VectorXd::Zero(p);
    for (int k = 0; k < 2000; ++k) {
      filter.expect(span(u));
      filter.fuse(span(y), mask, mask);
      REQUIRE(filter.predict(span(u)));
    }
    CAPTURE(round, n, p);
    CHECK(close(filter.covariance_prior(), steady.value().P, 1e-9));
  }
}

TEST_CASE("In the innovations form P is exactly zero until a row is missing and comes back to zero after it") {
  std::mt19937_64 engine(16);
  const model::StateSpace model = random_model(engine, 4, 1, 3, Noise::innovations);
  KalmanFilter filter(model);
  filter.reset(VectorXd::Zero(4), VectorXd::Zero(4));
  const std::vector<std::uint8_t> all{1, 1, 1};
  const std::vector<std::uint8_t> some{1, 0, 1};
  const VectorXd u = VectorXd::Zero(1);
  const auto step = [&](const std::vector<std::uint8_t>& mask) {
    const VectorXd y = random_matrix(engine, 3, 1);
    filter.expect(span(u));
    filter.fuse(span(y), mask, mask);
    REQUIRE(filter.predict(span(u)));
  };
  for (int k = 0; k < 100; ++k) step(all);
  CHECK(filter.covariance_prior().isZero(0.0));
  step(some);
  CHECK(filter.covariance_prior().norm() > 1e-6);
  for (int k = 0; k < 5000; ++k) step(all);
  CHECK(filter.covariance_prior().isZero(0.0));
}

TEST_CASE("Two predictions over half a step equal one over the whole step") {
  MatrixXd F(3, 3), G(3, 1);
  F << -1, 0.3, 0, 0.2, -0.5, 0.1, 0, 0.7, -20;
  G << 1, 0, 2;
  const MatrixXd density = VectorXd::LinSpaced(3, 0.1, 0.3).asDiagonal();
  const VectorXd dx = VectorXd::LinSpaced(3, -0.1, 0.2);
  const auto model_of = [&](double period) {
    std::mt19937_64 engine(17);
    model::StateSpace model = random_model(engine, 3, 1, 1, Noise::independent);
    const model::Discretised step = model::discretise(F, G, density, dx, period);
    model.A = step.A;
    model.B = step.B;
    model.Q = step.Q;
    model.d = step.d;
    return model;
  };
  KalmanFilter whole(model_of(0.2));
  KalmanFilter half(model_of(0.1));
  const VectorXd start = VectorXd::LinSpaced(3, -1.0, 1.0);
  const VectorXd std = VectorXd::LinSpaced(3, 0.1, 0.5);
  whole.reset(start, std);
  half.reset(start, std);
  const std::vector<std::uint8_t> none{0};
  const VectorXd u = VectorXd::Constant(1, 0.7);
  const VectorXd y = VectorXd::Zero(1);
  const auto predict = [&](KalmanFilter& filter) {
    filter.expect(span(u));
    filter.fuse(span(y), none, none);
    REQUIRE(filter.predict(span(u)));
  };
  for (int k = 0; k < 20; ++k) {
    predict(whole);
    predict(half);
    predict(half);
  }
  CHECK(close(vector(half.x_prior()), vector(whole.x_prior()), 1e-12));
  CHECK(close(half.covariance_prior(), whole.covariance_prior(), 1e-12));
}

TEST_CASE("A prediction that is not finite is refused and leaves the filter where it was") {
  std::mt19937_64 engine(18);
  const model::StateSpace model = random_model(engine, 3, 1, 2, Noise::correlated);
  KalmanFilter filter(model);
  filter.reset(VectorXd::Ones(3), VectorXd::Ones(3));
  const VectorXd before = vector(filter.x_prior());
  const MatrixXd P_before = filter.covariance_prior();
  const std::vector<std::uint8_t> mask{1, 1};
  VectorXd y = VectorXd::Zero(2);
  const VectorXd u = VectorXd::Zero(1);
  y(1) = std::numeric_limits<double>::infinity();
  filter.expect(span(u));
  filter.fuse(span(y), mask, mask);
  CHECK_FALSE(filter.predict(span(u)));
  CHECK(vector(filter.x_prior()) == before);
  CHECK(filter.covariance_prior() == P_before);
}

TEST_CASE("reset_with_covariance takes any covariance that is PSD and gives it back") {
  std::mt19937_64 engine(19);
  const model::StateSpace model = random_model(engine, 5, 1, 2, Noise::independent);
  KalmanFilter filter(model);
  for (const Index rank : {0, 1, 3, 5}) {
    const MatrixXd root = random_matrix(engine, 5, rank);
    const MatrixXd P = root * root.transpose();
    filter.reset_with_covariance(VectorXd::Zero(5), P);
    CHECK(close(filter.covariance_prior(), P, 1e-12));
  }
}
