// The poller over real sockets against a server that misbehaves on purpose.
#include <poll.h>

#include <set>

#include "poller_rig.hpp"
#include "support/catch.hpp"
#include "support/scripted_modbus_server.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;
using signals::Quality;
using signals::Reason;
using test::Bytes;
using test::ScriptedModbusServer;
using test::Step;

namespace {

// Three requests a cycle: a word, a word far away, and two coils.
DeviceSettings three_requests(std::uint16_t port) {
  DeviceSettings plc;
  plc.name = "plc";
  plc.controller = "tcp://127.0.0.1";
  plc.address = {"127.0.0.1", port};
  plc.poll_interval = 20ms;
  plc.timeout = 120ms;  // ample, for a busy machine
  plc.registers = {test::word(0, 1, RegisterKind::coil), test::word(1, 10), test::word(2, 500)};
  return plc;
}

struct EndpointPollerFaultsRig {
  EndpointPollerFaultsRig()
      : poller({three_requests(server.port())}, clock.now(), clock, samples, events,
               make_modbus_tcp_transport({"127.0.0.1", server.port()}, clock)) {}

  std::vector<signals::Sample> cycle() {
    while (true) {
      clock.sleep_until(next);
      next = poller.poll_due({});
      if (!samples.samples.empty()) return samples.take();
    }
  }
  [[nodiscard]] const DeviceStatistics& statistics() const { return poller.statistics(0); }

  ScriptedModbusServer server;
  base::SystemClock clock;
  test::RememberingSamples samples;
  test::RememberingEvents events;
  EndpointPoller poller;
  base::Instant next = clock.now();
};

void check_good(const signals::Sample& sample) {
  const double expected[] = {1.0, 110.0, 600.0};
  CHECK(sample.quality == Quality::good);
  CHECK(sample.reason == Reason::none);
  CHECK(sample.value == expected[sample.tag]);
}

// The second of three requests meets `step`: it alone is lost, for that reason, and the next cycle is whole again.
void check_costs_one_request(Step step, Reason reason, DeviceError error, bool reconnects) {
  EndpointPollerFaultsRig rig;
  for (const auto& sample : rig.cycle()) check_good(sample);
  rig.server.next({});
  rig.server.next(std::move(step));
  const base::Instant before = rig.clock.now();
  const auto samples = rig.cycle();
  REQUIRE(samples.size() == 3);
  check_good(samples[0]);
  CHECK(samples[1].tag == 1);
  CHECK(samples[1].quality == Quality::bad);
  CHECK(samples[1].reason == reason);
  CHECK(std::isnan(samples[1].value));
  CHECK(samples[1].raw.kind == signals::RawKind::none);
  CHECK(samples[1].time >= before);
  check_good(samples[2]);
  CHECK(rig.statistics().failures(error) == 1);
  CHECK(rig.statistics().last_error == error);
  CHECK(rig.statistics().state == DeviceState::degraded);
  const auto after = rig.cycle();
  REQUIRE(after.size() == 3);
  for (const auto& sample : after) check_good(sample);
  CHECK(rig.server.connections() == (reconnects ? 2 : 1));
  CHECK(rig.statistics().reconnects_total == (reconnects ? 1U : 0U));
  CHECK(rig.statistics().state == DeviceState::up);
  CHECK(rig.events.codes() == std::vector<std::string>{"degraded", "restored"});
}

Step altered(std::size_t at, std::uint8_t with) {
  Step step;
  step.alter = [at, with](Bytes& reply) { reply[at] = static_cast<std::uint8_t>(reply[at] ^ with); };
  return step;
}

}  // namespace

TEST_CASE("A device that answers well gives one good sample of every register per cycle") {
  EndpointPollerFaultsRig rig;
  for (int i = 0; i < 10; ++i) {
    const auto samples = rig.cycle();
    REQUIRE(samples.size() == 3);
    for (const auto& sample : samples) check_good(sample);
  }
  CHECK(rig.server.connections() == 1);
  CHECK(rig.events.events.empty());
  std::set<int> transactions;
  for (const Bytes& request : rig.server.requests()) transactions.insert(request[0] * 256 + request[1]);
  CHECK(transactions.size() == rig.server.requests().size());
}

TEST_CASE("A reply that comes too late makes its tags bad by timeout and is never taken for a later one") {
  check_costs_one_request({.delay_ms = 200}, Reason::timeout, DeviceError::no_answer, true);
}

TEST_CASE("No reply at all makes its tags bad by timeout") {
  check_costs_one_request({.send_first = 0}, Reason::timeout, DeviceError::no_answer, true);
}

TEST_CASE("Dripping bytes can't hold a request beyond its time-out") {
  EndpointPollerFaultsRig rig;
  rig.cycle();
  // Eleven bytes, one every 2 ms, the first of them 105 ms late: the last would come after the time-out.
  rig.server.next({});
  rig.server.next({.drip = true, .delay_ms = 105});
  const base::Instant before = rig.clock.now();
  const auto samples = rig.cycle();
  REQUIRE(samples.size() == 3);
  CHECK(samples[1].reason == Reason::timeout);
  CHECK(samples[1].time - before < 120ms + 120ms);
  check_good(samples[2]);
}

TEST_CASE("A reply of another transaction does not match") {
  check_costs_one_request(altered(1, 1), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply of another protocol does not match") {
  check_costs_one_request(altered(3, 1), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply with a wrong length field does not match") {
  check_costs_one_request(altered(5, 2), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply of another unit does not match") {
  check_costs_one_request(altered(6, 3), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply of another function does not match") {
  check_costs_one_request(altered(7, 7), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply with a wrong byte count does not match") {
  check_costs_one_request(altered(8, 6), Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("A reply that breaks off and stays silent is a short frame and does not match") {
  check_costs_one_request({.send_first = 10}, Reason::no_match, DeviceError::mismatch, true);
}

TEST_CASE("An exception costs its own tags and keeps the connection") {
  for (const std::uint8_t code : Bytes{1, 2, 3, 4, 5, 6, 0x0A, 0x0B}) {
    check_costs_one_request(ScriptedModbusServer::exception(code), Reason::exception, DeviceError::exception, false);
    EndpointPollerFaultsRig rig;
    rig.server.next(ScriptedModbusServer::exception(code));
    CHECK(rig.cycle()[0].exception_code == code);
    CHECK(rig.statistics().last_exception_code == code);
  }
}

TEST_CASE("A connection closed at any byte of the reply costs one request and is opened again at once") {
  for (int bytes = 0; bytes < 11; ++bytes) {
    check_costs_one_request({.send_first = bytes, .close_after = true}, Reason::timeout, DeviceError::closed, true);
  }
}

TEST_CASE("A connection closed between requests is opened again without losing a value") {
  EndpointPollerFaultsRig rig;
  rig.server.next({});
  rig.server.next({});
  rig.server.next({.close_after = true});
  for (int i = 0; i < 2; ++i) {
    for (const auto& sample : rig.cycle()) check_good(sample);
  }
  CHECK(rig.server.connections() == 2);
  CHECK(rig.events.events.empty());
}

TEST_CASE("Bytes that nobody asked for never become a value") {
  EndpointPollerFaultsRig rig;
  Step padded;
  padded.alter = [](Bytes& reply) { reply.insert(reply.end(), {0, 0}); };
  rig.server.next(padded);
  rig.server.next(padded);
  for (int i = 0; i < 5; ++i) {
    for (const auto& sample : rig.cycle()) check_good(sample);
  }
  CHECK(rig.server.connections() >= 2);
}

TEST_CASE("An unplugged device goes bad at once and comes back by itself within the back-off") {
  EndpointPollerFaultsRig rig;
  rig.cycle();
  rig.server.unplug();
  base::Instant newest = rig.clock.now();
  for (int i = 0; i < 5; ++i) {
    const auto samples = rig.cycle();
    REQUIRE(samples.size() == 3);
    for (const auto& sample : samples) {
      CHECK(sample.quality == Quality::bad);
      CHECK(sample.reason == Reason::timeout);
      CHECK(sample.time >= newest);
      newest = sample.time;
    }
  }
  CHECK(rig.events.codes() == std::vector<std::string>{"connection_lost"});
  CHECK_FALSE(rig.statistics().connected);
  rig.server.plug();
  const base::Instant plugged = rig.clock.now();
  while (rig.cycle()[0].quality == Quality::bad) REQUIRE(rig.clock.now() - plugged < 1s);
  for (const auto& sample : rig.cycle()) check_good(sample);
  CHECK(rig.events.codes() == std::vector<std::string>{"connection_lost", "restored"});
  CHECK(rig.statistics().connected);
}

TEST_CASE("A device that always answers with a wrong transaction keeps its reason while it is left alone") {
  EndpointPollerFaultsRig rig;
  for (int i = 0; i < 100; ++i) rig.server.next(altered(1, 0x55));
  for (int i = 0; i < 10; ++i) {
    for (const auto& sample : rig.cycle()) CHECK(sample.reason == Reason::no_match);
  }
  CHECK(rig.server.requests().size() == 2);
}
