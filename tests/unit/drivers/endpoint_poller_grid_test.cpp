// The poller's times and bookkeeping against a transport in memory and a clock that only moves when it is told to.
#include "poller_bench.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;
using test::Bench;
using test::device;

TEST_CASE("A cycle runs on its grid point and its samples carry the middle of request and reply") {
  DeviceSettings plc = device({test::word(4, 7)});
  plc.collection_offset = 30ms;
  Bench bench({plc});
  CHECK(bench.poller.poll_due({}) == bench.origin + 30ms);
  CHECK(bench.samples.samples.empty());
  bench.clock.advance(30ms);
  CHECK(bench.poller.poll_due({}) == bench.origin + 130ms);
  REQUIRE(bench.samples.samples.size() == 1);
  const signals::Sample& sample = bench.samples.samples[0];
  CHECK(sample.tag == 4);
  CHECK(sample.value == 107.0);
  CHECK(sample.quality == signals::Quality::good);
  CHECK(sample.time == bench.origin + 31ms);
  CHECK(bench.poller.statistics(0).last_round_trip_ns == 2'000'000);
  CHECK(bench.poller.statistics(0).state == DeviceState::up);
  CHECK(bench.events.events.empty());
}

TEST_CASE("Missed cycles are counted and never run back to back") {
  Bench bench({device({test::word(0, 0)})});
  bench.turn();
  bench.clock.advance(1049ms);
  CHECK(bench.poller.poll_due({}) == bench.origin + 1100ms);
  CHECK(bench.samples.samples.size() == 2);
  CHECK(bench.poller.statistics(0).missed_cycles_total == 9);
  CHECK(bench.poller.poll_due({}) == bench.origin + 1100ms);
  CHECK(bench.samples.samples.size() == 2);
}

TEST_CASE("A cycle that overruns its interval skips the grid points it covered") {
  Bench bench({device({test::word(0, 0)})});
  bench.transport->round_trip = 250ms;
  bench.turn();
  CHECK(bench.next == bench.origin + 300ms);
  CHECK(bench.poller.statistics(0).missed_cycles_total == 2);
}

TEST_CASE("Registers with their own interval have their own grid") {
  DeviceSettings plc = device({test::word(0, 0), test::word(1, 500)});
  plc.registers[1].poll_interval = 250ms;
  Bench bench({plc});
  std::vector<int> counts(2);
  while (bench.next <= bench.origin + 1s) bench.turn();
  for (const auto& sample : bench.samples.samples) ++counts[sample.tag];
  CHECK(counts == std::vector<int>{11, 5});
}

TEST_CASE("A stop request ends the cycle after the request under way") {
  Bench bench({device({test::word(0, 0), test::word(1, 500), test::word(2, 1000)})});
  std::stop_source stop;
  bench.transport->refuse = [&](const ReadRequest&) {
    stop.request_stop();
    return std::uint8_t{0};
  };
  bench.poller.poll_due(stop.get_token());
  CHECK(bench.samples.samples.size() == 1);
}

TEST_CASE("An unreachable controller is left alone for 0.5 s doubling to 10 s while its tags go bad at once") {
  Bench bench({device({test::word(0, 0)})});
  bench.transport->reachable = false;
  std::vector<base::Duration> attempts;
  int connects = 0;
  while (bench.clock.now() < bench.origin + 40s) {
    bench.turn();
    if (bench.transport->connects > connects) attempts.push_back(bench.clock.now() - bench.origin);
    connects = bench.transport->connects;
  }
  CHECK(attempts == std::vector<base::Duration>{0ms, 500ms, 1500ms, 3500ms, 7500ms, 15500ms, 25500ms, 35500ms});
  CHECK(bench.samples.samples.size() == 401);
  for (const auto& sample : bench.samples.samples) {
    REQUIRE(sample.quality == signals::Quality::bad);
    REQUIRE(sample.reason == signals::Reason::timeout);
  }
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost"});
  CHECK(bench.events.events[0].message.find("connection refused") != std::string::npos);
  bench.transport->reachable = true;
  while (bench.clock.now() < bench.origin + 46s) bench.turn();
  CHECK(bench.samples.samples.back().value == 100.0);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
  CHECK(bench.poller.statistics(0).state == DeviceState::up);
}

TEST_CASE("Every device behind an unreachable controller says why it is down") {
  Bench bench({device({test::word(0, 0)}, 1), device({test::word(1, 0)}, 2)});
  bench.transport->reachable = false;
  while (bench.next < bench.origin + 300ms) bench.turn();
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(bench.poller.statistics(d).state == DeviceState::down);
    CHECK(bench.poller.statistics(d).last_error == DeviceError::unavailable);
    CHECK(bench.poller.statistics(d).last_failure.get() == "plc:502: connection refused");
  }
  REQUIRE(bench.events.events.size() == 2);
  CHECK(bench.events.events[1].message == "tcp://plc unit 2 gives no answer: plc:502: connection refused");
}

TEST_CASE("Registers of every interval go bad and good again together with their device") {
  DeviceSettings settings = device({test::word(0, 0), test::word(1, 500)});
  settings.registers[1].poll_interval = std::chrono::hours{1};
  Bench bench({settings, device({test::word(2, 0)}, 2)});
  while (bench.next < bench.origin + 1s) bench.turn();
  const auto newest = [&](signals::TagIndex tag) {
    signals::Sample found;
    for (const auto& sample : bench.samples.samples) {
      if (sample.tag == tag) found = sample;
    }
    return found.quality;
  };
  SECTION("a silent device") {
    bench.transport->silent = [](const ReadRequest& request) { return request.unit == 1; };
    while (bench.next < bench.origin + 1500ms) bench.turn();
    CHECK(newest(0) == signals::Quality::bad);
    CHECK(newest(1) == signals::Quality::bad);
    CHECK(newest(2) == signals::Quality::good);
    CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost"});
    bench.transport->silent = nullptr;
    while (bench.next < bench.origin + 5s) bench.turn();
    CHECK(newest(0) == signals::Quality::good);
    CHECK(newest(1) == signals::Quality::good);
    CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
    CHECK(bench.poller.statistics(0).missed_cycles_total < 10);
  }
  SECTION("an unreachable controller") {
    bench.transport->reachable = false;
    bench.transport->close();
    while (bench.next < bench.origin + 1500ms) bench.turn();
    for (const signals::TagIndex tag : {0u, 1u, 2u}) CHECK(newest(tag) == signals::Quality::bad);
    bench.transport->reachable = true;
    while (bench.next < bench.origin + 5s) bench.turn();
    for (const signals::TagIndex tag : {0u, 1u, 2u}) CHECK(newest(tag) == signals::Quality::good);
  }
}

TEST_CASE("A dead range that is read often doesn't starve a live one that is read seldom") {
  DeviceSettings settings = device({test::word(0, 0), test::word(1, 500)});
  settings.registers[1].poll_interval = 2s;
  Bench bench({settings});
  bench.transport->silent = [](const ReadRequest& request) { return request.address == 0; };
  while (bench.next < bench.origin + 120s) bench.turn();
  int good = 0;
  for (const auto& sample : bench.samples.samples) {
    if (sample.tag == 1) good += sample.quality == signals::Quality::good;
  }
  CHECK(good >= 40);
}

TEST_CASE("A silent device costs two time-outs and then nobody's time while its neighbour goes on") {
  Bench bench({device({test::word(0, 0), test::word(1, 500), test::word(2, 1000)}, 1), device({test::word(3, 0)}, 2)});
  bench.transport->silent = [](const ReadRequest& request) { return request.unit == 1; };
  while (bench.next < bench.origin + 500ms) bench.turn();
  int good = 0;
  for (const auto& sample : bench.samples.samples) {
    good += sample.quality == signals::Quality::good;
    CHECK((sample.tag == 3) == (sample.quality == signals::Quality::good));
  }
  CHECK(good >= 4);
  CHECK(bench.poller.statistics(0).failures(DeviceError::no_answer) == 2);
  CHECK(bench.poller.statistics(0).state == DeviceState::down);
  CHECK(bench.poller.statistics(1).state == DeviceState::up);
  bench.transport->silent = nullptr;
  while (bench.next < bench.origin + 1s) bench.turn();
  CHECK(bench.poller.statistics(0).state == DeviceState::up);
  CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
}

TEST_CASE("Two ranges that never answer don't starve a third") {
  Bench bench({device({test::word(0, 0), test::word(1, 500), test::word(2, 1000)})});
  bench.transport->silent = [](const ReadRequest& request) { return request.address < 1000; };
  int good = 0;
  while (bench.next < bench.origin + 20s) bench.turn();
  for (const auto& sample : bench.samples.samples) good += sample.quality == signals::Quality::good && sample.tag == 2;
  CHECK(good >= 20);
}

TEST_CASE("A busy device is asked again as often as allowed and then its tags are bad") {
  DeviceSettings plc = device({test::word(0, 0)});
  plc.busy_retries = 2;
  Bench bench({plc});
  int busy = 2;
  bench.transport->refuse = [&](const ReadRequest&) { return static_cast<std::uint8_t>(busy-- > 0 ? 6 : 0); };
  bench.turn();
  CHECK(bench.transport->requests.size() == 3);
  CHECK(bench.samples.take().at(0).quality == signals::Quality::good);
  busy = 100;
  bench.turn();
  CHECK(bench.transport->requests.size() == 6);
  const signals::Sample sample = bench.samples.take().at(0);
  CHECK(sample.reason == signals::Reason::exception);
  CHECK(sample.exception_code == 6);
  CHECK(bench.poller.statistics(0).exceptions_total == 5);
  CHECK(bench.transport->connects == 1);
}

TEST_CASE("A refused range is narrowed until only the wrong address stays bad") {
  Bench bench({device({test::word(0, 0), test::word(1, 1), test::word(2, 9)})});
  bench.transport->refuse = [](const ReadRequest& request) {
    return static_cast<std::uint8_t>(request.address <= 1 && request.address + request.count > 1 ? 2 : 0);
  };
  for (int i = 0; i < 4; ++i) bench.turn();
  bench.samples.take();
  bench.turn();
  const auto samples = bench.samples.take();
  REQUIRE(samples.size() == 3);
  for (const auto& sample : samples) CHECK((sample.quality == signals::Quality::good) == (sample.tag != 1));
  CHECK(bench.poller.statistics(0).state == DeviceState::degraded);
  CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "plan_learned"});
}

TEST_CASE("Pauses stand between requests and after connecting") {
  DeviceSettings plc = device({test::word(0, 0), test::word(1, 500), test::word(2, 1000)});
  plc.workarounds.pause_after_connect = 20ms;
  plc.workarounds.pause_between_requests = 5ms;
  plc.workarounds.close_connection_after_gather = true;
  Bench bench({plc});
  bench.turn();
  CHECK(bench.clock.now() - bench.origin == 20ms + 3 * 2ms + 2 * 5ms);
  bench.turn();
  CHECK(bench.transport->connects == 2);
  CHECK(bench.poller.statistics(0).reconnects_total == 0);
  CHECK_FALSE(bench.poller.statistics(0).connected);
}

TEST_CASE("The longest time poll_due may block covers a device that never answers") {
  Bench bench({device({test::word(0, 0), test::word(1, 500)})});
  bench.transport->silent = [](const ReadRequest&) { return true; };
  while (bench.next < bench.origin + 30s) {
    bench.clock.sleep_until(bench.next);
    const base::Instant before = bench.clock.now();
    bench.next = bench.poller.poll_due({});
    REQUIRE(bench.clock.now() - before <= bench.poller.longest_block());
  }
}
