#include "twinkeeper/base/wake_up.hpp"

#include <thread>

#include "support/catch.hpp"

using namespace twinkeeper::base;
using namespace std::chrono_literals;

TEST_CASE("WakeUp remembers a ring until the next wait, and only once") {
  WakeUp bell;
  CHECK_FALSE(bell.wait_for(0s));
  bell.ring();
  bell.ring();
  CHECK(bell.wait_for(0s));
  CHECK_FALSE(bell.wait_for(0s));
}

TEST_CASE("WakeUp ends a wait in another thread") {
  WakeUp bell;
  bool rang = false;
  std::jthread waiter([&] { rang = bell.wait_for(60s); });
  bell.ring();
  waiter.join();
  CHECK(rang);
}
