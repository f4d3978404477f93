#include "uplink/connect_times.hpp"

#include "support/catch.hpp"
#include "support/fake_clock.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

TEST_CASE("the least pause is counted from the newest CONNECT to the same host") {
  support::FakeClock clock(base::Instant{100s});
  uplink::ConnectTimes times;
  CHECK(times.next("a", 10s) < clock.now());
  times.note("a", clock.now());
  clock.advance(3s);
  times.note("a", clock.now());  // it came to CONNECT
  CHECK(times.next("a", 10s) == base::Instant{113s});
  CHECK(times.next("a", 500ms) == base::Instant{103s} + 500ms);  // by the settings of the connection that asks
  CHECK(times.next("b", 10s) < clock.now());
}
