// The whole poller against slaves that misbehave in every way, for 100 000 transactions of each framing, on a clock
// that moves only when someone waits: whatever comes, no wrong value is given as good.
#include "drivers/endpoint_poller.hpp"
#include "fake_connection.hpp"
#include "fake_line.hpp"
#include "faulty_slaves.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using test::FaultySlaves;
using test::Framing;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kTransactions = 100'000;

struct Outcome {
  int good;
  int wrong;
  base::Duration longest_claim;
  std::map<std::string, int> injected;
};

// `at_end` is called while the transport is still there.
Outcome poll_through(
    FaultySlaves& slaves, support::FakeClock& clock, std::unique_ptr<Transport> transport,
    const std::function<void()>& at_end = [] {}) {
  test::Judge judge(slaves, clock);
  test::RememberingEvents events;
  EndpointPoller poller(slaves.devices(), clock.now(), clock, judge, events, std::move(transport));
  while (slaves.requests < kTransactions) {
    clock.sleep_until(poller.poll_due({}));
    events.events.clear();
  }
  at_end();
  return {judge.good, judge.wrong, judge.longest_claim, slaves.injected};
}

void check(const Outcome& outcome) {
  CHECK(outcome.wrong == 0);
  CHECK(outcome.good > 40'000);  // registers; most requests are for several
  CHECK(outcome.longest_claim <= 2 * FaultySlaves::kTimeout + 100ms);
  for (const auto& [kind, count] : outcome.injected) {
    CAPTURE(kind);
    if (!kind.starts_with("closed")) CHECK(count > 1000);
  }
}

Outcome over_tcp(Framing framing, std::uint64_t seed) {
  support::FakeClock clock{base::Instant{1000s}};
  FaultySlaves slaves(framing, seed, clock);
  auto owned = std::make_unique<test::FakeConnection>(clock);
  test::FakeConnection& connection = *owned;
  std::mt19937_64 engine(seed);
  connection.refuses = [&] { return engine() % 50 == 0; };
  connection.haunted = [&] { return engine() % 2 == 0; };
  connection.answer = [&](std::span<const std::uint8_t> frame) {
    const test::Reply reply = slaves.answer(frame);
    if (reply.alone) connection.forget();
    if (reply.close_after_bytes >= 0) connection.close_after(reply.delay + reply.close_after_bytes * reply.apart);
    test::Bytes sent = reply.bytes;
    if (reply.close_after_bytes >= 0) sent.resize(static_cast<std::size_t>(reply.close_after_bytes));
    connection.arrive(reply.before, 5ms, 1ms);
    connection.arrive(sent, reply.delay, reply.apart);
  };
  return poll_through(slaves, clock, std::move(owned));
}

}  // namespace

TEST_CASE("100 000 polled Modbus TCP transactions with faulty slaves give no wrong value as good") {
  const Outcome outcome = over_tcp(Framing::tcp, 21);
  check(outcome);
  for (int at = 0; at <= 25; ++at) {  // a reply of eight registers has 25 bytes
    CAPTURE(at);
    CHECK(outcome.injected.contains("closed at byte " + std::to_string(at)));
  }
}

TEST_CASE("100 000 polled RTU transactions through TCP with faulty slaves give no wrong value as good") {
  check(over_tcp(Framing::rtu_over_tcp, 22));
}

TEST_CASE("100 000 polled RTU transactions with faulty slaves on a line give no wrong value as good") {
  support::FakeClock clock{base::Instant{1000s}};
  FaultySlaves slaves(Framing::rtu, 23, clock);
  auto owned = std::make_unique<test::FakeLine>(clock);
  test::FakeLine& line = *owned;
  line.answer = [&](const ReadRequest& request) {
    const test::Reply reply = slaves.answer(rtu::encode_request(request));
    line.arrive(reply.before, 5ms, 1ms);
    line.arrive(reply.bytes, reply.delay, reply.apart);
  };
  check(poll_through(slaves, clock, std::move(owned), [&] {
    CHECK(line.connects == 1);
    CHECK_FALSE(line.talked_over);
  }));
}
