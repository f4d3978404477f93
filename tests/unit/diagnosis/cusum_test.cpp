#include "twinkeeper/diagnosis/cusum.hpp"

#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;

namespace {

// Mean number of steps until one of the two sums exceeds `limit`.
double simulated_run_length(double drift, double limit, double shift, int runs) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> noise(shift, 1.0);
  double steps = 0.0;
  for (int run = 0; run < runs; ++run) {
    TwoSidedCusum cusum(drift, 2.0 * limit);
    do {
      cusum.add(noise(random), base::Instant{});
      steps += 1.0;
    } while (cusum.value() <= limit);
  }
  return steps / runs;
}

}  // namespace

TEST_CASE("Run length between false alarms agrees with a seeded simulation within 15 percent") {
  CHECK(simulated_run_length(0.5, 4.0, 0.0, 4000) == Approx(0.5 * cusum_run_length(0.5, 4.0)).epsilon(0.15));
  CHECK(simulated_run_length(0.25, 5.0, 0.0, 4000) == Approx(0.5 * cusum_run_length(0.25, 5.0)).epsilon(0.15));
}

TEST_CASE("Delay after a shift agrees with a seeded simulation within 15 percent") {
  for (const double shift : {1.0, 2.0}) {
    CHECK(simulated_run_length(0.5, 16.0, shift, 2000) == Approx(cusum_run_length(0.5, 16.0, shift)).epsilon(0.15));
  }
}

TEST_CASE("Default limits give one nominal false alarm per 330 days at one step per second") {
  const double days = 0.5 * cusum_run_length(0.5, 16.0) / 86400.0;
  CHECK(days == Approx(330.0).epsilon(0.02));
}

TEST_CASE("Run length is continuous where the slope vanishes") {
  CHECK(cusum_run_length(0.5, 8.0, 0.5) == Approx(9.166 * 9.166));
  CHECK(cusum_run_length(0.5, 8.0, 0.5 + 1e-3) == Approx(9.166 * 9.166).epsilon(0.02));
}

TEST_CASE("TwoSidedCusum follows a constant residual exactly and stops at its cap") {
  TwoSidedCusum cusum(0.5, 32.0);
  for (int k = 1; k <= 10; ++k) {
    cusum.add(2.0, base::Instant{k * 1s});
    CHECK(cusum.value() == Approx(1.5 * k));
    CHECK(cusum.rising());
  }
  CHECK(cusum.mean() == Approx(2.0));
  for (int k = 11; k <= 100; ++k) cusum.add(2.0, base::Instant{k * 1s});
  CHECK(cusum.value() == 32.0);
  CHECK(cusum.onset() == base::Instant{1s});
}

TEST_CASE("TwoSidedCusum clears from its cap within the bound that cap and drift give") {
  TwoSidedCusum cusum(0.5, 32.0);
  for (int k = 0; k < 1000; ++k) cusum.add(-5.0, base::Instant{k * 1s});
  int steps = 0;
  while (cusum.value() >= 8.0) {
    cusum.add(0.0, base::Instant{(1000 + steps) * 1s});
    ++steps;
  }
  CHECK(steps == 49);  // (32 − 8) / 0.5, and one to go below
}

TEST_CASE("TwoSidedCusum dates the onset at the first step after the last zero") {
  TwoSidedCusum cusum(0.5, 32.0);
  cusum.add(-1.0, base::Instant{1s});
  cusum.add(3.0, base::Instant{2s});
  cusum.add(-9.0, base::Instant{3s});
  CHECK_FALSE(cusum.rising());
  CHECK(cusum.onset() == base::Instant{3s});
  cusum.add(20.0, base::Instant{4s});
  cusum.add(1.0, base::Instant{5s});
  CHECK(cusum.rising());
  CHECK(cusum.onset() == base::Instant{4s});
  cusum.reset();
  CHECK(cusum.value() == 0.0);
  CHECK(cusum.mean() == 0.0);
}

TEST_CASE("TwoSidedCusum sees that a shift is over long before its sum has come down from the cap") {
  TwoSidedCusum cusum(0.5, 32.0);
  for (int i = 0; i < 100; ++i) cusum.add(3.0, {});
  CHECK(cusum.value() == 32.0);
  CHECK_FALSE(cusum.returned());
  cusum.add(0.0, {});
  CHECK_FALSE(cusum.returned());  // one residual proves nothing
  cusum.add(3.0, {});
  cusum.add(0.0, {});
  cusum.add(0.0, {});
  cusum.add(0.0, {});
  CHECK(cusum.returned());
  cusum.reset();
  CHECK_FALSE(cusum.returned());
}
