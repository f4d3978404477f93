#include "drivers/probe_link.hpp"

#include <algorithm>
#include <random>
#include <set>

#include "fake_line.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

// A slave on a line of 9600 baud that has some addresses and refuses a request with any other in it.
struct ProbeBench {
  explicit ProbeBench(std::set<int> has, ProbePace pace = {20ms, 10'000}) : addresses(std::move(has)) {
    auto owned = std::make_unique<test::FakeLine>(clock);
    line = owned.get();
    line->answer = [this](const ReadRequest& request) {
      ++requests;
      if (silent(request)) return;
      test::Bytes reply;
      bool whole = true;
      for (int a = request.address; a < request.address + request.count; ++a) whole = whole && addresses.count(a) > 0;
      if (exception != 0) {
        rtu::append_exception_reply(request, exception, reply);
      } else if (whole) {
        reply = test::reply_to(request, 7);
      } else {
        rtu::append_exception_reply(request, 2, reply);
      }
      line->arrive(reply, 5ms);
    };
    device.transmission_mode = TransmissionMode::RTU;
    device.timeout = 400ms;
    link.emplace(device, std::move(owned), clock, pace);
  }

  std::set<int> addresses;
  std::uint8_t exception = 0;
  std::function<bool(const ReadRequest&)> silent = [](const ReadRequest&) { return false; };
  int requests = 0;
  support::FakeClock clock{base::Instant{1000s}};
  test::FakeLine* line = nullptr;
  DeviceSettings device;
  std::optional<ProbeLink> link;
};

std::set<int> all_of(const std::vector<AddressRange>& ranges) {
  std::set<int> all;
  for (const auto& range : ranges) {
    for (int a = range.first; a <= range.last; ++a) all.insert(a);
  }
  return all;
}

}  // namespace

TEST_CASE("A scan of addresses finds exactly those that the device has") {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    const int first = static_cast<int>(random() % 1000);
    const int last = first + static_cast<int>(random() % 500);
    std::set<int> has;
    for (int a = first - 3; a <= last + 3; ++a) {
      if (random() % 8 != 0) has.insert(a);
    }
    ProbeBench bench(has);
    const auto found = scan_addresses(*bench.link, {}, static_cast<std::uint16_t>(std::max(0, first)),
                                      static_cast<std::uint16_t>(last));
    CHECK_FALSE(found.unknown_from);
    std::set<int> expected;
    for (int a = first; a <= last; ++a) {
      if (has.count(a) > 0) expected.insert(a);
    }
    CHECK(all_of(found.readable) == expected);
    CHECK(all_of(found.readable).size() + all_of(found.refused).size() == static_cast<std::size_t>(last - first + 1));
    // Neighbours are one range.
    for (std::size_t i = 1; i < found.readable.size(); ++i) {
      CHECK(found.readable[i].first > found.readable[i - 1].last + 1);
    }
  }
}

TEST_CASE("A scan of addresses asks a whole block at once, and about twice per address that is absent") {
  std::set<int> has;
  for (int a = 0; a < 250; ++a) has.insert(a);
  ProbeBench whole(has);
  CHECK(all_of(scan_addresses(*whole.link, {}, 0, 249).readable).size() == 250);
  CHECK(whole.requests == 2);
  ProbeBench none({});
  CHECK(all_of(scan_addresses(*none.link, {}, 0, 124).refused).size() == 125);
  CHECK(none.requests == 2 * 125 - 1);
  ProbeBench top({65535});
  const auto found = scan_addresses(*top.link, {}, 65530, 65535);
  CHECK(all_of(found.readable) == std::set<int>{65535});
}

TEST_CASE("A scan of addresses ends at its limit of requests and leaves a pause between them") {
  ProbeBench bench({}, {50ms, 40});
  const base::Instant begun = bench.clock.now();
  const auto found = scan_addresses(*bench.link, {}, 0, 999);
  CHECK(bench.requests == 40);
  REQUIRE(found.unknown_from);
  CHECK(found.ended == "the limit of requests is reached");
  CHECK(all_of(found.refused).size() == *found.unknown_from);
  CHECK(bench.clock.now() - begun >= 39 * 50ms);
  for (std::size_t i = 1; i < bench.line->sent.size(); ++i) {
    CHECK(bench.line->sent[i] - bench.line->sent[i - 1] >= 50ms);
  }
}

TEST_CASE("A scan of addresses ends where the device is silent, busy or lacks the function, and says from where on") {
  ProbeBench silent({1, 2, 3});
  silent.silent = [](const ReadRequest&) { return true; };
  const auto found = scan_addresses(*silent.link, {}, 1, 3);
  CHECK(found.unknown_from == 1);
  CHECK(found.ended == "no answer three times in a row");
  CHECK(silent.requests == 3);
  ProbeBench lacking({});
  lacking.exception = 1;
  CHECK(scan_addresses(*lacking.link, {}, 0, 9).ended == "the device does not know the function");
  CHECK(lacking.requests == 1);
  ProbeBench busy({});
  busy.exception = 6;
  CHECK(scan_addresses(*busy.link, {}, 0, 9).ended == "the device stays busy");
  CHECK(busy.requests == 6);
}

TEST_CASE("A scan of slaves counts an exception as an answer, but not a gateway's word that there is none") {
  ProbeBench bench({0});
  bench.silent = [](const ReadRequest& request) { return request.unit == 3 || request.unit == 5; };
  auto found = scan_slaves(*bench.link, {}, 1, 6);
  REQUIRE(found.size() == 6);
  for (const auto& slave : found) CHECK(slave.answers() == (slave.slave_id != 3 && slave.slave_id != 5));
  bench.exception = 2;
  CHECK(scan_slaves(*bench.link, {}, 1, 1).at(0).answers());
  bench.exception = 0x0B;
  CHECK_FALSE(scan_slaves(*bench.link, {}, 1, 1).at(0).answers());
}

TEST_CASE("A slave that was late is left alone before it is asked again, so that no late reply stands for another") {
  ProbeBench bench({0, 1});
  int round = 0;
  bench.silent = [&](const ReadRequest& request) {
    if (round++ > 0) return false;
    bench.line->arrive(test::reply_to(request, 4242), 1000ms);  // 2.5 time-outs
    return true;
  };
  ReadRequest request;
  CHECK(bench.link->read(request).error == DeviceError::no_answer);
  const auto second = bench.link->read(request);
  REQUIRE(second.error == DeviceError::none);
  CHECK(reply_word(second.data, 0) == 7);
  CHECK(bench.line->sent[1] - bench.line->sent[0] >= 1600ms);
}

TEST_CASE("Latency has quantiles by nearest rank and counts what went wrong by its kind") {
  ProbeBench bench({0}, {0ms, 1000});
  int round = 0;
  bench.silent = [&](const ReadRequest& request) {
    ++round;
    if (round == 50) return true;  // a time-out
    bench.line->arrive(test::reply_to(request, 7), std::chrono::milliseconds{round}, 0ns);
    return true;
  };
  const auto statistics = measure_latency(*bench.link, {}, 101);
  CHECK(statistics.requests == 101);
  CHECK(statistics.answered == 100);
  CHECK(statistics.timeouts == 1);
  CHECK(statistics.min == 1ms);
  CHECK(statistics.median == 51ms);  // the 50th of 1 … 49, 51 … 101
  CHECK(statistics.p90 == 91ms);
  CHECK(statistics.p99 == 100ms);
  CHECK(statistics.max == 101ms);
  bench.exception = 4;
  bench.silent = [](const ReadRequest&) { return false; };
  const auto refused = measure_latency(*bench.link, {}, 3);
  CHECK(refused.exceptions == 3);
  CHECK(refused.answered == 0);
}
