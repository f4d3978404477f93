#include "app/heartbeat.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

TEST_CASE("Heartbeat is alive for exactly its patience after the last beat") {
  app::Heartbeat heart("twins", 2s, base::Instant{10s});
  CHECK(heart.alive(base::Instant{12s}));
  CHECK_FALSE(heart.alive(base::Instant{12s} + 1ns));
  heart.beat(base::Instant{20s});
  CHECK(heart.alive(base::Instant{22s}));
}
