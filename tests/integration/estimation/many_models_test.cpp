// A thousand random models of up to 32 states, all kinds of noise.
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "effort.hpp"
#include "plants_for_tests.hpp"
#include "reference_filter.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr int kModels = 1000 / test::kEffort;
constexpr Noise kNoises[] = {Noise::independent, Noise::full_R, Noise::correlated, Noise::rank_deficient,
                             Noise::innovations};

struct Case {
  model::StateSpace model;
  std::mt19937_64 engine;
};

// Small models more often than large ones.
Case case_of(int number) {
  std::mt19937_64 engine(static_cast<std::uint64_t>(number) * 7919 + 1);
  const auto below = [&engine](Index end) { return static_cast<Index>(engine() % static_cast<std::uint64_t>(end)); };
  const Index n = 1 + (number % 4 == 0 ? below(32) : below(12));
  const Index m = below(4);
  const Index p = 1 + below(std::min<Index>(n + 1, 10));
  model::StateSpace model = random_model(engine, n, m, p, kNoises[number % 5]);
  return {std::move(model), engine};
}

bool close(const VectorXd& left, const VectorXd& right, double relative) {
  return (left - right).norm() <= relative * std::max(1e-3, right.norm());
}

}  // namespace

TEST_CASE("Over a thousand models the covariance stays symmetric and PSD for two thousand steps") {
  for (int number = 0; number < kModels; ++number) {
    Case it = case_of(number);
    const Index n = it.model.n_x();
    const Index p = it.model.n_y();
    KalmanFilter filter(it.model);
    filter.reset(VectorXd::Zero(n), VectorXd::Constant(n, number % 2 == 0 ? 1.0 : 1e4));
    const VectorXd u = VectorXd::Zero(it.model.n_u());
    for (int k = 1; k <= 2000; ++k) {
      const VectorXd y = random_matrix(it.engine, p, 1);
      const std::vector<std::uint8_t> mask = random_mask(it.engine, p);
      filter.expect(span(u));
      filter.fuse(span(y), mask, mask);
      REQUIRE(filter.predict(span(u)));
      if (k > 5 && k % 250 != 0) continue;
      const MatrixXd P = filter.covariance_prior();
      CAPTURE(number, n, p, k);
      REQUIRE(P.allFinite());
      REQUIRE((P - P.transpose()).isZero(0.0));
      const VectorXd values = Eigen::SelfAdjointEigenSolver<MatrixXd>(P).eigenvalues();
      REQUIRE(values.minCoeff() >= -1e-13 * std::max(values.maxCoeff(), 1e-300));
    }
  }
}

TEST_CASE("Over a thousand models sequential is batch, in any order of the outputs, and masked is never measured") {
  double worst = 0.0;
  for (int number = 0; number < kModels; ++number) {
    Case it = case_of(number);
    const Index n = it.model.n_x();
    const Index m = it.model.n_u();
    const Index p = it.model.n_y();
    const VectorXd std = random_matrix(it.engine, n, 1).cwiseAbs();
    const VectorXd start = random_matrix(it.engine, n, 1);

    Eigen::PermutationMatrix<Eigen::Dynamic> order(p);
    order.setIdentity();
    std::shuffle(order.indices().data(), order.indices().data() + p, it.engine);
    model::StateSpace shuffled = it.model;
    shuffled.C = order * it.model.C;
    shuffled.D = order * it.model.D;
    shuffled.R = order * it.model.R * order.transpose();
    shuffled.S = it.model.S * order.transpose();

    // The same model without one of its outputs, which one filter never gets.
    const Index dropped = static_cast<Index>(it.engine() % static_cast<std::uint64_t>(p));
    KalmanFilter filter(it.model), other(shuffled), masked(it.model);
    std::optional<KalmanFilter> shorter;
    if (p > 1) shorter.emplace(without_output(it.model, dropped));
    for (KalmanFilter* each : {&filter, &other, &masked}) each->reset(start, std);
    if (shorter) shorter->reset(start, std);
    ReferenceFilter reference{it.model, start, std.cwiseAbs2().asDiagonal(), {}, {}, {}, {}};
    for (int k = 0; k < 12; ++k) {
      CAPTURE(number, n, m, p, k);
      const VectorXd u = random_matrix(it.engine, m, 1);
      const VectorXd y = random_matrix(it.engine, p, 1);
      const std::vector<std::uint8_t> mask = random_mask(it.engine, p);
      const auto step = [&](KalmanFilter& one, const VectorXd& values, const std::vector<std::uint8_t>& rows) {
        one.expect(span(u));
        const double nis = one.fuse(span(values), rows, rows);
        REQUIRE(one.predict(span(u)));
        return nis;
      };
      const double nis = step(filter, y, mask);
      reference.step(u, y, mask, mask);
      worst = std::max(worst, (vector(filter.x_prior()) - reference.x).norm() / std::max(1e-3, reference.x.norm()));
      REQUIRE(close(vector(filter.x_prior()), reference.x, 1e-10));
      REQUIRE(close(filter.covariance_prior().reshaped(), reference.P.reshaped(), 1e-10));

      std::vector<std::uint8_t> moved(mask.size());
      for (Index i = 0; i < p; ++i) {
        moved[static_cast<std::size_t>(order.indices()(i))] = mask[static_cast<std::size_t>(i)];
      }
      const double nis_moved = step(other, order * y, moved);
      REQUIRE(close(vector(other.x_prior()), vector(filter.x_prior()), 1e-10));
      if (!std::isnan(nis)) REQUIRE(std::abs(nis_moved - nis) <= 1e-8 * nis);

      if (!shorter) continue;
      std::vector<std::uint8_t> less = mask;
      less[static_cast<std::size_t>(dropped)] = 0;
      step(masked, y, less);
      less.erase(less.begin() + dropped);
      VectorXd rest(p - 1);
      rest << y.head(dropped), y.tail(p - 1 - dropped);
      step(*shorter, rest, less);
      REQUIRE(same_bits(masked.covariance_prior(), shorter->covariance_prior()));
      REQUIRE(same_bits(vector(masked.x_prior()), vector(shorter->x_prior())));
    }
  }
  WARN("largest relative difference from the batch equations: " << worst);
}

TEST_CASE("Over a thousand matched plants the NIS is that of a chi-square") {
  constexpr int kSteps = 2000;
  constexpr int kSettling = 400;
  int outside = 0;
  double pooled_nis = 0.0;
  double pooled_dof = 0.0;
  for (int number = 0; number < kModels; ++number) {
    Case it = case_of(number);
    // Plants with every kind of noise but the innovations form, whose start has no spread of its own.
    if (number % 5 == 4)
      it.model = random_model(it.engine, it.model.n_x(), it.model.n_u(), it.model.n_y(), Noise::correlated);
    const Index m = it.model.n_u();
    const Index p = it.model.n_y();
    KalmanFilter filter(it.model);
    filter.reset(VectorXd::Zero(it.model.n_x()), VectorXd::Zero(it.model.n_x()));
    Plant plant(it.model, static_cast<std::uint64_t>(number) + 1, VectorXd::Zero(it.model.n_x()));
    double nis = 0.0;
    std::int64_t dof = 0;
    for (int k = 0; k < kSteps; ++k) {
      const VectorXd u = random_matrix(it.engine, m, 1);
      const VectorXd y = plant.step(u);
      const std::vector<std::uint8_t> mask = random_mask(it.engine, p);
      filter.expect(span(u));
      const double value = filter.fuse(span(y), mask, mask);
      REQUIRE(filter.predict(span(u)));
      if (k < kSettling || std::isnan(value)) continue;
      nis += value;
      dof += std::count(mask.begin(), mask.end(), std::uint8_t{1});
    }
    constexpr double kHalfPerCent = 2.5758293035489004;
    outside += nis < chi_square_quantile(dof, -kHalfPerCent) || nis > chi_square_quantile(dof, kHalfPerCent);
    pooled_nis += nis;
    pooled_dof += static_cast<double>(dof);
  }
  CAPTURE(outside, pooled_nis / pooled_dof);
  CHECK(outside <= 22 / test::kEffort + (test::kEffort > 1 ? 3 : 0));
  CHECK(pooled_nis / pooled_dof == Approx(1.0).margin(0.005 * std::sqrt(static_cast<double>(test::kEffort))));
  WARN(outside << " of " << kModels << " outside the 99 % band, pooled mean " << pooled_nis / pooled_dof);
}
