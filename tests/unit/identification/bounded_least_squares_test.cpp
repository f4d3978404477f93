#include "identification/bounded_least_squares.hpp"

#include <cmath>

#include "base/random.hpp"
#include "identification/residual_tests.hpp"
#include "identification/uncertainty.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// y = a e^(−b t) at 40 points.
Residuals decay(double a, double b) {
  return [=](const VectorXd& theta, const MovedFrom*) -> std::optional<VectorXd> {
    VectorXd out(40);
    for (Index k = 0; k < out.size(); ++k) {
      const double t = 0.1 * static_cast<double>(k);
      out(k) = theta(0) * std::exp(-theta(1) * t) - a * std::exp(-b * t);
    }
    return out;
  };
}

VectorXd first_order_noise(base::Random& random, Index count, double phi) {
  VectorXd out(count);
  double value = 0.0;
  for (Index k = 0; k < count; ++k) out(k) = value = phi * value + std::sqrt(1.0 - phi * phi) * random.normal();
  return out;
}

Experiments of_input(const VectorXd& u) {
  Experiment out;
  out.u = u.transpose();
  out.y = MatrixXd::Zero(1, u.size());
  return {out};
}

}  // namespace

TEST_CASE("A bounded fit finds what made the data, of positive parameters from a decade away") {
  const std::vector<FreeParameter> free{{"a", 0.3, 0.0, 100.0, true, 1.0}, {"b", 5.0, -10.0, 10.0, false, 20.0}};
  const auto found = bounded_least_squares(free, decay(3.0, 0.7), {});
  REQUIRE(found);
  const double start_cost = decay(3.0, 0.7)(Eigen::Vector2d(0.3, 5.0), nullptr)->squaredNorm();
  CHECK(found->theta(0) == Approx(3.0).epsilon(1e-4));
  CHECK(found->theta(1) == Approx(0.7).epsilon(1e-4));
  CHECK(found->bound == std::vector<int>{0, 0});
  CHECK(found->cost < 1e-6 * start_cost);
}

TEST_CASE("A parameter stops at its bound, is said to, and leaves the rest to the others") {
  const std::vector<FreeParameter> free{{"a", 1.0, 0.0, 2.0, true, 1.0}, {"b", 0.1, 0.0, 10.0, false, 10.0}};
  const auto found = bounded_least_squares(free, decay(3.0, 0.7), {});
  REQUIRE(found);
  CHECK(found->theta(0) == Approx(2.0));
  CHECK(found->bound == std::vector<int>{1, 0});
  const std::vector<FreeParameter> alone{{"a", 2.0, 2.0, 2.0, true, 1.0}, {"b", 0.1, 0.0, 10.0, false, 10.0}};
  const auto fixed = bounded_least_squares(alone, decay(3.0, 0.7), {});
  REQUIRE(fixed);
  CHECK(fixed->bound == std::vector<int>{0, 0});
  CHECK(found->theta(1) == Approx(fixed->theta(1)).epsilon(1e-3));
}

TEST_CASE("A fit is the same in parallel, and there is none where the start makes no sense") {
  const std::vector<FreeParameter> free{{"a", 1.0, 0.0, 9.0, true, 1.0}, {"b", 1.0, 0.0, 10.0, false, 1.0}};
  LeastSquaresSettings backwards;
  backwards.for_each = [](std::size_t count, const std::function<void(std::size_t)>& job) {
    for (std::size_t i = count; i-- > 0;) job(i);
  };
  const auto one = bounded_least_squares(free, decay(3.0, 0.7), {});
  const auto other = bounded_least_squares(free, decay(3.0, 0.7), backwards);
  CHECK(one->theta == other->theta);
  const Residuals none = [](const VectorXd&, const MovedFrom*) { return std::optional<VectorXd>(); };
  CHECK_FALSE(bounded_least_squares(free, none, {}).has_value());
}

TEST_CASE("Standard deviations cover the truth, whether residuals are white or not") {
  for (const double phi : {0.0, 0.8}) {
    base::Random random(11);
    int inside = 0;
    constexpr int kRuns = 200;
    for (int run = 0; run < kRuns; ++run) {
      const VectorXd x = first_order_noise(random, 600, 0.8);
      const VectorXd e = first_order_noise(random, 600, phi);
      const double error = x.dot(e) / x.squaredNorm();  // of the estimate of a slope
      const VectorXd rest = e - error * x;
      const auto found = standard_deviations(x, rest, 1, MatrixXd::Identity(1, 1));
      inside += std::abs(error) < 2.0 * found(0) ? 1 : 0;
    }
    INFO("phi " << phi);
    CHECK(inside >= 0.88 * kRuns);
    CHECK(inside <= 0.99 * kRuns);
  }
}

TEST_CASE("Parameters that show only together are named, the others keep their standard deviations") {
  base::Random random(12);
  MatrixXd J(300, 3);
  VectorXd r(300);
  for (Index k = 0; k < 300; ++k) {
    J(k, 0) = random.normal();
    J(k, 1) = -2.0 * J(k, 0);
    J(k, 2) = random.normal();
    r(k) = random.normal();
  }
  const auto found = standard_deviations(J, r, 1, MatrixXd::Identity(3, 3));
  CHECK(open_directions(J) == std::vector<std::vector<Index>>{{0, 1}});
  CHECK(found(2) == Approx(1.0 / std::sqrt(300.0)).epsilon(0.2));
}

TEST_CASE("Residuals are told white or not, and by which input more could be explained") {
  base::Random random(13);
  const VectorXd u = first_order_noise(random, 2000, 0.9);
  const VectorXd white = first_order_noise(random, 2000, 0.0);
  const auto tests = [&](const VectorXd& e) { return residual_tests(of_input(u), e.transpose())[0]; };
  CHECK(tests(white).white);
  CHECK_FALSE(tests(white).inputs[0].left);
  CHECK_FALSE(tests(white).inputs[0].feedback);
  CHECK(tests(white).autocorrelation(0) == Approx(1.0));
  CHECK_FALSE(tests(first_order_noise(random, 2000, 0.4)).white);
  VectorXd answers = white;
  for (Index k = 3; k < answers.size(); ++k) answers(k) += u(k - 3) - 0.9 * u(k - 4);
  CHECK(tests(answers).inputs[0].left);
  CHECK_FALSE(tests(answers).inputs[0].feedback);
  VectorXd led = white;  // what the input does two ticks later
  for (Index k = 0; k + 2 < led.size(); ++k) led(k) += u(k + 2) - 0.9 * u(k + 1);
  CHECK(tests(led).inputs[0].feedback);
}
