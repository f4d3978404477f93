#include "twinkeeper/model/discretise.hpp"

#include <cmath>

#include "model/balancing.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::model;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

Discretised scalar(double f, double period) {
  return discretise(MatrixXd::Constant(1, 1, f), MatrixXd::Constant(1, 1, 3.0), MatrixXd::Constant(1, 1, 2.0),
                    VectorXd::Constant(1, 0.5), period);
}

}  // namespace

TEST_CASE("root_as_power_of_two is a power of two within a factor of the root of two") {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    const double root = root_as_power_of_two(x);
    int exponent = 0;
    CAPTURE(x);
    REQUIRE(std::frexp(root, &exponent) == 0.5);
    REQUIRE(root * root <= 2.0 * x);
    REQUIRE(root * root >= 0.5 * x);
  }
  CHECK(root_as_power_of_two(4.0) == 2.0);
  CHECK(root_as_power_of_two(0.25) == 0.5);
  CHECK(root_as_power_of_two(0x1p-1074) == 0x1p-537);
}

TEST_CASE("discretise agrees with the closed form of a first-order lag from slow to very stiff") {
  for (const double product : {1e-9, 1e-3, 0.3, 1.0, 7.0, 50.0, 500.0}) {
    CAPTURE(product);
    const double period = 0.5;
    const double f = -product / period;
    const Discretised step = scalar(f, period);
    const double integral = std::expm1(f * period) / f;
    CHECK(step.A(0, 0) == Approx(std::exp(f * period)).epsilon(1e-12));
    CHECK(step.B(0, 0) == Approx(3.0 * integral).epsilon(1e-13));
    CHECK(step.d(0) == Approx(0.5 * integral).epsilon(1e-13));
    CHECK(step.Q(0, 0) == Approx(2.0 * std::expm1(2.0 * f * period) / (2.0 * f)).epsilon(1e-13));
  }
}

TEST_CASE("discretise gives the double integrator exactly") {
  MatrixXd F(2, 2), G(2, 1);
  F << 0, 1, 0, 0;
  G << 0, 1;
  const double T = 0.1;
  MatrixXd W = MatrixXd::Zero(2, 2);
  W(1, 1) = 1.0;
  const Discretised step = discretise(F, G, W, VectorXd::Zero(2), T);
  MatrixXd A(2, 2), B(2, 1), Q(2, 2);
  A << 1, T, 0, 1;
  B << T * T / 2, T;
  Q << T * T * T / 3, T * T / 2, T * T / 2, T;
  CHECK((step.A - A).cwiseAbs().maxCoeff() < 1e-16);
  CHECK((step.B - B).cwiseAbs().maxCoeff() < 1e-16);
  CHECK((step.Q - Q).cwiseAbs().maxCoeff() < 1e-16);
}

TEST_CASE("Two half steps of a discretised model equal one whole step") {
  MatrixXd F(3, 3), G(3, 2);
  F << -1000, 0, 0, 1, -0.1, 0.2, 0, 1, -0.001;
  G << 1000, 0, 0, 1, 0.5, 0;
  const MatrixXd W = VectorXd::LinSpaced(3, 1.0, 2.0).asDiagonal();
  const VectorXd dx = VectorXd::LinSpaced(3, -1.0, 1.0);
  const Discretised whole = discretise(F, G, W, dx, 0.5);
  const Discretised half = discretise(F, G, W, dx, 0.25);
  const auto close = [](const MatrixXd& left, const MatrixXd& right) {
    return (left - right).cwiseAbs().maxCoeff() <= 1e-13 * right.cwiseAbs().maxCoeff();
  };
  CHECK(close(half.A * half.A, whole.A));
  CHECK(close(half.A * half.B + half.B, whole.B));
  CHECK(close(half.A * half.d + half.d, whole.d));
  CHECK(close(half.A * half.Q * half.A.transpose() + half.Q, whole.Q));
}
