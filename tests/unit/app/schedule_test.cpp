#include "app/schedule.hpp"

#include <vector>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

TEST_CASE("Schedule takes jobs in the order of their deadlines and equal deadlines in the order of the jobs") {
  app::Schedule schedule({{base::Instant{50ms}, 100ms}, {base::Instant{50ms}, 50ms}, {base::Instant{0ms}, 1s}});
  std::vector<std::size_t> order;
  for (int i = 0; i < 7; ++i) {
    order.push_back(schedule.next().job);
    schedule.advance();
  }
  CHECK(order == std::vector<std::size_t>{2, 0, 1, 1, 0, 1, 1});
}

TEST_CASE("Schedule never accumulates: the millionth deadline is exactly on the grid") {
  const base::Duration period{333'333'333};
  app::Schedule schedule({{base::Instant{7s}, period}});
  for (int i = 0; i < 1'000'000; ++i) schedule.advance();
  CHECK(schedule.next().deadline == base::Instant{7s} + period * 1'000'000);
  CHECK(schedule.next().turn == 1'000'000);
}

TEST_CASE("Schedule can give turns up") {
  app::Schedule schedule({{base::Instant{0s}, 100ms}});
  schedule.advance(50);
  CHECK(schedule.next().turn == 50);
  CHECK(schedule.next().deadline == base::Instant{5s});
}
