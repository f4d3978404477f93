// How far gains and time constants of models of lags may be off: as far as they are, over many records.
#include <cmath>

#include "base/random.hpp"
#include "identification/autoregression.hpp"
#include "identification/identify.hpp"
#include "identification/regression.hpp"
#include "identification/uncertainty.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Two outputs of which the second moves the first, two inputs of which the first is seen at once.
Experiments lag_record(Index count, unsigned seed) {
  base::Random random(seed);
  MatrixXd A(2, 2), B(2, 2), D(2, 2);
  A << 0.8, 0.1, 0.0, 0.5;
  B << 0.4, 0.0, 0.2, 1.0;
  D << 0.3, 0.0, 0.0, 0.0;
  Experiment out;
  out.u = MatrixXd::Zero(2, count);
  out.y = MatrixXd::Zero(2, count);
  for (Index k = 1; k < count; ++k) {
    for (Index j = 0; j < 2; ++j) out.u(j, k) = random.uniform() > 0.8 ? random.normal() : out.u(j, k - 1);
    const VectorXd noise{{0.5 * random.normal(), 0.2 * random.normal()}};
    out.y.col(k) = A * out.y.col(k - 1) + B * out.u.col(k - 1) + D * out.u.col(k) + noise;
  }
  return {out};
}

struct Spread {  // of one figure over many records
  double sum = 0.0, squares = 0.0, told = 0.0;
  int count = 0;

  void add(double value, double std) {
    sum += value;
    squares += value * value;
    told += std;
    ++count;
  }
  // What is told in units of what is: rather too much than too little, as it is never less than white residuals make it.
  [[nodiscard]] double ratio() const {
    const double mean = sum / count;
    return told / count / std::sqrt((squares - count * mean * mean) / (count - 1));
  }
};

}  // namespace

TEST_CASE("Gains and time constants of an ARX model spread over records as they are said to") {
  for (const Index lags : {1, 2}) {
    Spread gains[2][2], slowest;
    for (unsigned seed = 1; seed <= 100; ++seed) {
      const Experiments record = lag_record(500, seed);
      const LinearUncertainty of = lag_uncertainty(record, arx(record, lags, 1.0).model, {false, false});
      REQUIRE(of.poles.size() >= 2);
      for (Index i = 0; i < 2; ++i) {
        for (Index j = 0; j < 2; ++j) gains[i][j].add(of.gain(i, j), of.gain_std(i, j));
      }
      slowest.add(of.poles[0].time_constant, of.poles[0].time_constant_std);
    }
    CAPTURE(lags);
    for (Index i = 0; i < 2; ++i) {
      for (Index j = 0; j < 2; ++j) CHECK(gains[i][j].ratio() == Approx(1.1).margin(0.25));
    }
    CHECK(gains[0][0].sum / 100 == Approx(3.7).margin(0.1));  // (I − A)⁻¹ (B + D)
    CHECK(slowest.ratio() == Approx(1.1).margin(0.25));
  }
}

TEST_CASE("The time constant of an AR(1) is off by what its asymptotic variance says") {
  base::Random random(3);
  Experiment record;
  constexpr Index kTicks = 5000;
  record.u = MatrixXd::Zero(0, kTicks);
  record.y = MatrixXd::Zero(1, kTicks);
  for (Index k = 1; k < kTicks; ++k) record.y(0, k) = 0.9 * record.y(0, k - 1) + random.normal();
  const LinearModel model = autoregression({record}, 1, 0.9999);
  const LinearUncertainty of = lag_uncertainty({record}, model, {false});
  CHECK(of.gain.size() == 0);
  REQUIRE(of.poles.size() == 1);
  const double a = model.A(0, 0);
  const double slope = 1.0 / (a * std::log(a) * std::log(a));  // of −1 / ln a
  CHECK(of.poles[0].time_constant == Approx(-1.0 / std::log(a)));
  CHECK(of.poles[0].time_constant_std == Approx(slope * std::sqrt((1.0 - a * a) / kTicks)).epsilon(0.15));
}

TEST_CASE("identify tells time constants of time series with what they are off by, but for walks") {
  base::Random random(5);
  Experiment record;
  record.u = MatrixXd::Zero(0, 600);
  record.y = MatrixXd::Zero(2, 600);
  for (Index k = 1; k < 600; ++k) {
    record.y(0, k) = 0.7 * record.y(0, k - 1) + random.normal();
    record.y(1, k) = record.y(1, k - 1) + random.normal();
  }
  for (const Method method : {Method::var, Method::n4sid}) {
    IdentifySettings settings;
    settings.method = method;
    settings.order = method == Method::var ? 1 : 2;
    const auto found = identify({record}, {}, {"a", "walk"}, settings);
    REQUIRE(found.ok());
    const auto& poles = found.value().uncertainty.poles;
    REQUIRE(poles.size() == 2);
    CHECK((poles[0].time_constant_std == 0.0) == (method == Method::var));
    CHECK(poles[1].time_constant == Approx(2.8).margin(0.8));
    CHECK(poles[1].time_constant_std > 0.2);  // 0.33 by its asymptotic variance
    CHECK(poles[1].time_constant_std < 0.7);
  }
}
