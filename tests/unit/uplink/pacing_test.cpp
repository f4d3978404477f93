#include <deque>
#include <set>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/back_off.hpp"
#include "uplink/connection.hpp"
#include "uplink/endpoint_turn.hpp"
#include "uplink/pace.hpp"
#include "uplink/token_bucket.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a token bucket lets no more through than its rate and its burst") {
  test::StandingClock clock;
  TokenBucket bucket(80.0, 80.0, clock.now());
  int passed = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (bucket.available(clock.now())) {
      bucket.take(1.0, clock.now());
      ++passed;
    }
    clock.advance(milliseconds{1});
  }
  CHECK(passed >= 800);
  CHECK(passed <= 881);
}

TEST_CASE("a token bucket in debt says when it is worth asking again") {
  test::StandingClock clock;
  TokenBucket bucket(1000.0, 1000.0, clock.now());
  bucket.take(3000.0, clock.now());
  CHECK_FALSE(bucket.available(clock.now()));
  const base::Duration wait = bucket.wait(clock.now());
  CHECK(wait >= seconds{2});
  CHECK(wait < milliseconds{2010});
  clock.advance(wait);
  CHECK(bucket.available(clock.now()));
}

TEST_CASE("a token bucket without a rate never limits") {
  test::StandingClock clock;
  TokenBucket bucket(std::nullopt, 1.0, clock.now());
  bucket.take(1e12, clock.now());
  CHECK(bucket.available(clock.now()));
  CHECK(bucket.wait(clock.now()) == base::Duration::zero());
}

TEST_CASE("behind a reconnect the backlogs of a fleet begin at different times and the first one at once") {
  std::set<std::int64_t> starts;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    test::StandingClock clock;
    Pace pace(80.0, 400u << 10, clock.now(), seed);
    pace.connected(clock.now());
    CHECK(pace.backlog(clock.now()));
    CHECK(pace.live(clock.now()));
    clock.advance(std::chrono::hours{1});
    pace.connected(clock.now());
    CHECK(pace.live(clock.now()));
    const base::Duration wait = pace.wait_backlog(clock.now());
    CHECK(wait <= Pace::kMostPause);
    starts.insert(wait / milliseconds{100});
  }
  CHECK(starts.size() > 35);
}

TEST_CASE("the back-off spreads over the whole range and doubles up to its cap") {
  double sums[9] = {};
  constexpr int kRuns = 4000;
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    BackOff back_off(seconds{1}, seconds{120}, seed);
    double bound = 1.0;
    for (double& sum : sums) {
      const double pause = std::chrono::duration<double>(back_off.next()).count();
      REQUIRE(pause >= 0.0);
      REQUIRE(pause <= bound);
      sum += pause;
      bound = std::min(120.0, bound * 2.0);
    }
  }
  double bound = 1.0;
  for (const double sum : sums) {
    CHECK(sum / kRuns == Approx(bound / 2.0).epsilon(0.05));  // full jitter: the mean is half the bound
    bound = std::min(120.0, bound * 2.0);
  }
}

TEST_CASE("the back-off starts again after a reset") {
  BackOff back_off(seconds{1}, seconds{120}, 1);
  for (int i = 0; i < 20; ++i) static_cast<void>(back_off.next());
  back_off.reset();
  CHECK(back_off.next() <= seconds{1});
}

TEST_CASE("endpoints take turns and a round of failures is worth a pause") {
  EndpointTurn turn(3);
  CHECK(turn.index() == 0);
  CHECK_FALSE(turn.failed());
  CHECK_FALSE(turn.failed());
  CHECK(turn.index() == 2);
  CHECK(turn.failed());
  CHECK(turn.index() == 0);
  CHECK_FALSE(turn.failed());
  turn.lost_after_standing();
  CHECK(turn.index() == 0);
  CHECK_FALSE(turn.failed());

  EndpointTurn alone(1);
  CHECK(alone.failed());
  CHECK(alone.failed());
  CHECK(alone.index() == 0);
}

TEST_CASE("AWS IoT Core is asked for a session at most every ten seconds and a broker of one's own sooner") {
  CHECK(ConnectionTiming::for_profile(Profile::aws_iot_core).least_pause == seconds{10});
  CHECK(ConnectionTiming::for_profile(Profile::aws_iot_core).backoff_cap == seconds{120});
  CHECK(ConnectionTiming::for_profile(Profile::mqtt).least_pause == milliseconds{500});
}

TEST_CASE("live messages and backlog together never exceed a second's limit by more than a quarter") {
  constexpr double kMessages = 80.0;
  constexpr std::uint64_t kBytes = 400u << 10;
  const std::size_t size = GENERATE(200, 4096, 60'000);
  CAPTURE(size);
  test::StandingClock clock;
  Pace pace(kMessages, kBytes, clock.now(), 1);
  pace.connected(clock.now());
  const std::size_t packet = std::min(size, pace.packet_bytes());
  std::deque<std::pair<base::Instant, std::size_t>> second;
  for (int step = 0; step < 30'000; ++step) {
    const auto send = [&](std::size_t bytes, bool of_backlog) {
      pace.take(bytes, of_backlog, clock.now());
      second.emplace_back(clock.now(), bytes);
    };
    while (step % 5000 > 2000 && pace.live(clock.now())) send(200, false);  // in bursts
    while (pace.backlog(clock.now())) send(packet, true);
    while (second.front().first + seconds{1} <= clock.now()) second.pop_front();
    std::size_t bytes = 0;
    for (const auto& [at, taken] : second) bytes += taken;
    REQUIRE(second.size() <= 100);
    REQUIRE(bytes <= 512u << 10);
    clock.advance(milliseconds{1});
  }
}
