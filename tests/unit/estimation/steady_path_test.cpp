// The filter's steady path: the same bits as the full one, and when it is taken and left.
#include <cmath>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Small ones with every kind of noise, and lags in a chain, which come to rest whatever their number.
std::vector<model::StateSpace> models() {
  std::vector<model::StateSpace> list;
  for (const Noise noise : {Noise::independent, Noise::full_R, Noise::correlated, Noise::innovations}) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      std::mt19937_64 engine(seed);
      const Index n = 1 + static_cast<Index>(seed % 3);
      list.push_back(random_model(engine, n, 1, 1 + static_cast<Index>(seed % 2), noise));
    }
  }
  for (const Index n : {3, 5, 8, 18}) {
    list.push_back(lags(n));
    for (Index i = 1; i < n; ++i) list.back().A(i, i - 1) = 0.05;
  }
  return list;
}

struct Told {
  double nis;
  VectorXd expected, variance, x_post, std;
  MatrixXd P_post;
};

Told step(KalmanFilter& filter, const VectorXd& u, const VectorXd& y, const std::vector<std::uint8_t>& good,
          const std::vector<std::uint8_t>& used) {
  Told told;
  filter.expect(span(u));
  told.expected = vector(filter.expected());
  told.variance = vector(filter.innovation_variance());
  told.nis = filter.fuse(span(y), good, used);
  told.x_post = vector(filter.x_post());
  told.std = VectorXd(told.x_post.size());
  filter.standard_deviations({told.std.data(), static_cast<std::size_t>(told.std.size())});
  told.P_post = filter.covariance_post();
  if (told.x_post(0) > 1.0) filter.project(0, 1.0);
  REQUIRE(filter.predict(span(u)));
  return told;
}

const std::vector<std::uint8_t> kOne{1};

}  // namespace

TEST_CASE("The steady path gives the bits of the full path over long runs with rows that are missing and rejected") {
  long steady = 0;
  long steps = 0;
  int never = 0;
  for (const model::StateSpace& model : models()) {
    const Index n = model.n_x();
    const Index p = model.n_y();
    std::mt19937_64 engine(static_cast<std::uint64_t>(31 + n));
    KalmanFilter filter(model);
    KalmanFilter full(model);
    filter.reset(VectorXd::Zero(n), VectorXd::Ones(n));
    full.reset(VectorXd::Zero(n), VectorXd::Ones(n));
    filter.set_movement(model.Q);
    full.set_movement(model.Q);
    std::vector<std::uint8_t> good(static_cast<std::size_t>(p), 1);
    std::vector<std::uint8_t> used = good;
    long here = 0;
    for (int k = 0; k < 5000; ++k) {
      const VectorXd u = random_matrix(engine, model.n_u(), 1);
      const VectorXd y = random_matrix(engine, p, 1);
      // Mostly as in the step before, so that there is something to come to rest at; now and then for one step only.
      const auto dice = engine() % 400;
      if (dice < 2) good = random_mask(engine, p);
      if (dice == 3) good.assign(good.size(), 1);
      used = good;
      if (dice == 4) used[0] = 0;
      if (dice == 5) {
        filter.widen(7.0);
        full.widen(7.0);
      }
      if (dice == 6) {
        const VectorXd std = VectorXd::Constant(n, 0.5);
        filter.reset(y.size() == n ? y : VectorXd::Zero(n), std);
        full.reset(y.size() == n ? y : VectorXd::Zero(n), std);
      }
      full.leave_steady();
      here += filter.steady();
      const Told left = step(filter, u, y, good, used);
      const Told right = step(full, u, y, good, used);
      CAPTURE(n, p, k, dice);
      REQUIRE(same_bits(VectorXd::Constant(1, left.nis), VectorXd::Constant(1, right.nis)));
      REQUIRE(same_bits(left.expected, right.expected));
      REQUIRE(same_bits(left.variance, right.variance));
      REQUIRE(same_bits(left.x_post, right.x_post));
      REQUIRE(same_bits(left.std, right.std));
      REQUIRE(same_bits(left.P_post, right.P_post));
      REQUIRE(same_bits(vector(filter.x_prior()), vector(full.x_prior())));
      REQUIRE(same_bits(filter.covariance_prior(), full.covariance_prior()));
    }
    steady += here;
    steps += 5000;
    never += here == 0;
  }
  CAPTURE(steady, steps, never);
  CHECK(steady > steps / 4);
  CHECK(never < static_cast<int>(models().size()) / 4);
}

TEST_CASE("The steady path is left by the first masked step and by whatever changes P and never by a projection") {
  const VectorXd u = VectorXd::Zero(1);
  const VectorXd y = VectorXd::Constant(1, 0.3);
  KalmanFilter filter(lags(1));
  filter.set_movement(MatrixXd::Identity(1, 1));
  const auto settle = [&] {
    for (int k = 0; k < 1000; ++k) step(filter, u, y, kOne, kOne);
    REQUIRE(filter.steady());
  };
  filter.reset(VectorXd::Zero(1), VectorXd::Ones(1));
  CHECK_FALSE(filter.steady());
  settle();
  step(filter, u, y, {0}, {0});
  CHECK_FALSE(filter.steady());
  settle();
  step(filter, u, y, kOne, {0});
  CHECK_FALSE(filter.steady());
  settle();
  filter.reset(VectorXd::Zero(1), VectorXd::Ones(1));
  CHECK_FALSE(filter.steady());
  settle();
  filter.reset_with_covariance(VectorXd::Zero(1), MatrixXd::Identity(1, 1));
  CHECK_FALSE(filter.steady());
  settle();
  filter.widen(1.0);
  CHECK_FALSE(filter.steady());
  settle();
  filter.expect(span(u));
  filter.fuse(span(y), kOne, kOne);
  filter.project(0, 0.0);
  REQUIRE(filter.predict(span(u)));
  CHECK(filter.steady());
  CHECK(filter.x_prior()[0] == 0.0);
}

TEST_CASE(
    "Standard deviations asked for before the rows are fused are those of the prediction on the steady path too") {
  const VectorXd u = VectorXd::Zero(1);
  KalmanFilter filter(lags(1));
  filter.reset(VectorXd::Zero(1), VectorXd::Ones(1));
  for (int k = 0; k < 1000; ++k) step(filter, u, VectorXd::Zero(1), kOne, kOne);
  REQUIRE(filter.steady());
  KalmanFilter other = filter;
  double std = 0.0;
  filter.expect(span(u));
  filter.standard_deviations({&std, 1});
  CHECK(std * std == Approx(filter.covariance_prior()(0, 0)).epsilon(1e-14));
  filter.fuse(span(VectorXd::Ones(1)), kOne, kOne);
  REQUIRE(filter.predict(span(u)));
  step(other, u, VectorXd::Ones(1), kOne, kOne);
  CHECK(same_bits(vector(filter.x_prior()), vector(other.x_prior())));
}

TEST_CASE("A step on the steady path that is not finite is refused and leaves the filter where it was") {
  const VectorXd u = VectorXd::Zero(1);
  KalmanFilter filter(lags(1));
  filter.reset(VectorXd::Ones(1), VectorXd::Ones(1));
  for (int k = 0; k < 1000; ++k) step(filter, u, VectorXd::Ones(1), kOne, kOne);
  REQUIRE(filter.steady());
  const VectorXd before = vector(filter.x_prior());
  filter.expect(span(u));
  filter.fuse(span(VectorXd::Constant(1, std::numeric_limits<double>::infinity())), kOne, kOne);
  CHECK_FALSE(filter.predict(span(u)));
  CHECK(same_bits(vector(filter.x_prior()), before));
}

TEST_CASE("A nonlinear model is never on the steady path") {
  const model::StateSpace model = two_tanks(true);
  for (const bool running : {false, true}) {
    KalmanFilter filter(model);
    filter.linearise_each_step(running);
    filter.reset(VectorXd::Zero(2), VectorXd::Constant(2, 0.01));
    const std::vector<std::uint8_t> both{1, 1};
    for (int k = 0; k < 2000; ++k) step(filter, VectorXd::Zero(1), VectorXd::Zero(2), both, both);
    CHECK_FALSE(filter.steady());
  }
}
