// Millions of steps: whether rounding adds up.
#include <algorithm>
#include <cmath>
#include <vector>

#include "effort.hpp"
#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

#if defined(__SIZEOF_FLOAT128__) || __LDBL_MANT_DIG__ == 113  // 32-bit Arm has neither

namespace {

// 113 bits: room for what 1e12 takes away.
#ifdef __SIZEOF_FLOAT128__
__extension__ using Quad = __float128;
#else
using Quad = long double;
#endif

// The covariance equations of independent noise, row by row, in quadruple precision.
class QuadCovariance {
 public:
  QuadCovariance(const model::StateSpace& model, double variance)
      : model_(model), n_(static_cast<std::size_t>(model.n_x())), P_(n_ * n_), AP_(n_ * n_), Pc_(n_) {
    for (std::size_t i = 0; i < n_; ++i) P_[i * n_ + i] = variance;
  }

  void step(const std::vector<std::uint8_t>& used) {
    for (std::size_t r = 0; r < used.size(); ++r) {
      if (used[r] == 0) continue;
      const auto row = static_cast<Index>(r);
      Quad sigma = model_.R(row, row);
      for (std::size_t i = 0; i < n_; ++i) {
        Pc_[i] = 0;
        for (std::size_t j = 0; j < n_; ++j) Pc_[i] += P_[i * n_ + j] * Quad(model_.C(row, static_cast<Index>(j)));
      }
      for (std::size_t i = 0; i < n_; ++i) sigma += Quad(model_.C(row, static_cast<Index>(i))) * Pc_[i];
      for (std::size_t i = 0; i < n_; ++i) {
        for (std::size_t j = 0; j < n_; ++j) P_[i * n_ + j] -= Pc_[i] * Pc_[j] / sigma;
      }
    }
    const auto a = [this](std::size_t i, std::size_t j) {
      return Quad(model_.A(static_cast<Index>(i), static_cast<Index>(j)));
    };
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) {
        Quad sum = 0;
        for (std::size_t k = 0; k < n_; ++k) sum += a(i, k) * P_[k * n_ + j];
        AP_[i * n_ + j] = sum;
      }
    }
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        Quad sum = model_.Q(static_cast<Index>(i), static_cast<Index>(j));
        for (std::size_t k = 0; k < n_; ++k) sum += AP_[i * n_ + k] * a(j, k);
        P_[i * n_ + j] = P_[j * n_ + i] = sum;
      }
    }
  }

  // Largest difference of an element, relative to the diagonal it belongs to.
  [[nodiscard]] double distance(const MatrixXd& P) const {
    double worst = 0.0;
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) {
        const double scale = std::sqrt(static_cast<double>(P_[i * n_ + i]) * static_cast<double>(P_[j * n_ + j]));
        const Quad difference = Quad(P(static_cast<Index>(i), static_cast<Index>(j))) - P_[i * n_ + j];
        worst = std::max(worst, std::abs(static_cast<double>(difference)) / scale);
      }
    }
    return worst;
  }

 private:
  const model::StateSpace& model_;
  std::size_t n_;
  std::vector<Quad> P_, AP_, Pc_;
};

}  // namespace

TEST_CASE("Over a million steps from P0/R up to 1e12 the covariance is that of quadruple precision") {
  double worst = 0.0;
  for (int number = 0; number < 10; ++number) {
    std::mt19937_64 engine(static_cast<std::uint64_t>(number) + 500);
    const Index n = 2 + number % 3;
    const Index p = 1 + number % 2;
    model::StateSpace model = random_model(engine, n, 0, p, Noise::independent);
    model.R = MatrixXd::Identity(p, p);
    const double ratio = std::vector<double>{1e6, 1e9, 1e12}[static_cast<std::size_t>(number % 3)];
    KalmanFilter filter(model);
    filter.reset(VectorXd::Zero(n), VectorXd::Constant(n, std::sqrt(ratio)));
    QuadCovariance reference(model, std::sqrt(ratio) * std::sqrt(ratio));
    const VectorXd y = VectorXd::Zero(p);
    const VectorXd none(0);
    const int steps = 1'000'000 / test::kEffort;
    for (int k = 1; k <= steps; ++k) {
      const std::vector<std::uint8_t> mask = random_mask(engine, p);
      filter.expect(span(none));
      filter.fuse(span(y), mask, mask);
      REQUIRE(filter.predict(span(none)));
      reference.step(mask);
      if (k > 100 && k % 10'000 != 0) continue;
      const double distance = reference.distance(filter.covariance_prior());
      worst = std::max(worst, distance);
      CAPTURE(number, n, p, ratio, k);
      REQUIRE(distance <= 1e-9);
    }
  }
  WARN("largest relative error of an element of P: " << worst);
}

#endif

TEST_CASE("After ten million steps in the innovations form the covariance has not grown") {
  std::mt19937_64 engine(77);
  const model::StateSpace model = random_model(engine, 4, 1, 2, Noise::innovations);
  KalmanFilter filter(model);
  filter.reset(VectorXd::Zero(4), VectorXd::Zero(4));
  std::vector<std::uint8_t> all{1, 1};
  Plant plant(model, 5, VectorXd::Zero(4));
  VectorXd u = VectorXd::Zero(1);
  for (int k = 0; k < 10'000'000 / test::kEffort; ++k) {
    const VectorXd y = k % 1000 == 0 ? plant.step(u) : VectorXd::Zero(2);
    filter.expect(span(u));
    filter.fuse(span(y), all, all);
    REQUIRE(filter.predict(span(u)));
  }
  CHECK(std::sqrt(filter.covariance_prior().trace()) <= 1e-6);
}
