#include "twinkeeper/model/input_delay.hpp"

#include <cmath>
#include <random>

#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/discretise.hpp"

namespace {

using namespace twinkeeper::model;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

StateSpace delayed(const std::vector<double>& dead_times, double period = 0.1) {
  auto model = build(two_lags_settings(), period, dead_times);
  REQUIRE(std::holds_alternative<StateSpace>(model));
  return std::get<StateSpace>(std::move(model));
}

}  // namespace

TEST_CASE("A model with dead times steps as one with a step many times shorter whose inputs are really late") {
  // 0.23 s = 2 steps and 0.3 of one; 0.1 s = 1 step; with a step of 0.01 s both are whole.
  constexpr int kFine = 10;
  const std::vector<double> dead_times{0.23, 0.1};
  const StateSpace coarse = with_late_inputs(delayed(dead_times));
  InputDelay delay(delayed(dead_times));
  CHECK(delay.any());
  REQUIRE(delay.drive_size() == 4);
  const StateSpace fine = delayed({}, 0.1 / kFine);

  std::mt19937_64 engine(4);
  std::normal_distribution<double> normal;
  std::vector<std::vector<double>> told;
  VectorXd x = VectorXd::Zero(2);
  VectorXd x_fine = VectorXd::Zero(2);
  std::vector<double> drive(4);
  const auto input_at = [&](std::size_t j, int fine_step) {  // of the real machine
    const int late = fine_step - static_cast<int>(std::lround(dead_times[j] / 0.1 * kFine));
    const int step = late >= 0 ? late / kFine : 0;  // before the first tick: its first value for ever
    return told[static_cast<std::size_t>(step)][j];
  };
  for (int k = 0; k < 200; ++k) {
    told.push_back({normal(engine), normal(engine)});
    delay.push(told.back(), drive);
    const VectorXd late = Eigen::Map<VectorXd>(drive.data(), 4);
    const double y = (coarse.C * x + coarse.D * late)(0);
    CHECK(y == Approx((fine.C * x_fine)(0) + 0.25 * input_at(1, k * kFine)).epsilon(1e-12).margin(1e-12));
    x = coarse.A * x + coarse.B * late;
    for (int i = 0; i < kFine; ++i) {
      VectorXd u(2);
      for (std::size_t j = 0; j < 2; ++j) u(static_cast<Index>(j)) = input_at(j, k * kFine + i);
      x_fine = (fine.A * x_fine + fine.B * u).eval();
    }
    CHECK((x - x_fine).norm() <= 1e-12 * std::max(1.0, x.norm()));
  }
}

TEST_CASE("A dead time of whole steps widens nothing, and none is nothing at all") {
  const StateSpace whole = delayed({0.3, 0.0});
  CHECK(whole.B_late.size() == 0);
  CHECK(whole.dead_times[0].steps == 3);
  CHECK_FALSE(whole.dead_times[0].split);
  CHECK(with_late_inputs(whole).n_u() == 2);
  InputDelay delay(whole);
  CHECK(delay.drive_size() == 2);
  std::vector<double> drive(2);
  for (int k = 0; k < 10; ++k) {
    delay.push(std::vector<double>{1.0 + k, 10.0 + k}, drive);
    CHECK(drive[0] == 1.0 + std::max(0, k - 3));
    CHECK(drive[1] == 10.0 + k);
  }
  InputDelay none(delayed({}));
  CHECK_FALSE(none.any());
  none.push(std::vector<double>{4.0, 5.0}, drive);
  CHECK(drive == std::vector<double>{4.0, 5.0});
}

TEST_CASE("Parts of a step sum up to the whole, and rounding makes none") {
  const StateSpace plain = delayed({});
  const StateSpace late = delayed({0.05, 0.0});
  CHECK(late.B == plain.B);
  CHECK(late.B_late.col(1).isZero(0.0));
  CHECK((late.B_late.col(0) - plain.B.col(0)).norm() < plain.B.col(0).norm());
  CHECK(delayed({0.1 + 0.2, 0.0}).dead_times[0].steps == 3);
  CHECK_FALSE(delayed({0.1 + 0.2, 0.0}).dead_times[0].split);
}

TEST_CASE("A part of a step is refused where there are no equations between two steps") {
  ModelSettings discrete = two_lags_settings();
  discrete.time = TimeBase::discrete;
  discrete.sample_time = 0.1;
  discrete.A = {{0.9, 0.0}, {0.0, 0.8}};
  CHECK(std::holds_alternative<StateSpace>(build(discrete, 0.1, {0.2, 0.0})));
  const auto refused = build(discrete, 0.1, {0.25, 0.0});
  REQUIRE(std::holds_alternative<twinkeeper::base::Issues>(refused));
  CHECK(std::get<twinkeeper::base::Issues>(refused)[0].path == "model.inputs[0]");
}
