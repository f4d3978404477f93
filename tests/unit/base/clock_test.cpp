#include "twinkeeper/base/clock.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::base;
using namespace std::chrono_literals;

TEST_CASE("nearest_grid_point rounds to the nearest tick on both sides of the origin") {
  const Instant origin{1000s};
  const Duration period = 100ms;
  for (const std::int64_t k : {-1'000'000ll, -3ll, -1ll, 0ll, 1ll, 7ll, 1'000'000ll}) {
    CHECK(nearest_grid_point(origin, period, grid_point(origin, period, k)) == k);
    CHECK(nearest_grid_point(origin, period, grid_point(origin, period, k) + 49ms) == k);
    CHECK(nearest_grid_point(origin, period, grid_point(origin, period, k) + 50ms) == k + 1);
    CHECK(nearest_grid_point(origin, period, grid_point(origin, period, k) - 50ms) == k);
    CHECK(nearest_grid_point(origin, period, grid_point(origin, period, k) - 51ms) == k - 1);
  }
}

TEST_CASE("SystemClock sleeps until its deadline and maps an instant to wall time by the present offset") {
  const SystemClock clock;
  const Instant deadline = clock.now() + 2ms;
  clock.sleep_until(deadline);
  CHECK(clock.now() >= deadline);
  const auto difference = clock.to_wall(clock.now() - 1h) - (clock.wall_now() - 1h);
  CHECK(std::chrono::abs(difference) < 50ms);
}
