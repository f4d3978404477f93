#include <map>

#include "drivers/endpoint_poller.hpp"
#include "fake_line.hpp"
#include "poller_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

// Slaves 1 to `slaves` on one line of 9600 baud, with a time-out of 200 ms; a reply begins after 5 ms.
struct Bus {
  Bus(int slaves, base::Duration interval) : line(new test::FakeLine(clock)) {
    line->answer = [this](const ReadRequest& request) {
      asked[request.unit].push_back(clock.now());
      if (silent(request.unit)) return;
      line->arrive(test::reply_to(request, 7), 5ms);
    };
    std::vector<DeviceSettings> devices;
    for (int slave = 1; slave <= slaves; ++slave) {
      DeviceSettings settings;
      settings.name = "meter_" + std::to_string(slave);
      settings.transmission_mode = TransmissionMode::RTU;
      settings.slave_id = slave;
      settings.poll_interval = interval;
      settings.timeout = 200ms;
      settings.registers = {test::word(static_cast<signals::TagIndex>(slave), 0)};
      settings.registers[0].poll_interval = interval;
      devices.push_back(settings);
    }
    poller.emplace(std::move(devices), clock.now(), clock, samples, events, std::unique_ptr<Transport>(line));
  }

  void run_for(base::Duration duration) {
    const base::Instant end = clock.now() + duration;
    for (base::Instant next = clock.now(); next < end; next = poller->poll_due({})) clock.sleep_until(next);
    clock.sleep_until(end);
  }

  // Good samples by tag, which is the slave's number.
  std::map<signals::TagIndex, int> good() {
    std::map<signals::TagIndex, int> found;
    for (const auto& sample : samples.take()) found[sample.tag] += sample.quality == signals::Quality::good ? 1 : 0;
    return found;
  }

  support::FakeClock clock{base::Instant{1000s}};
  test::RememberingSamples samples;
  test::RememberingEvents events;
  test::FakeLine* line;
  std::function<bool(int)> silent = [](int) { return false; };
  std::map<int, std::vector<base::Instant>> asked;
  std::optional<EndpointPoller> poller;
};

}  // namespace

TEST_CASE("one dead slave among ten on a line leaves the other nine their rate") {
  Bus bus(10, 1s);
  bus.silent = [](int slave) { return slave == 4; };
  bus.run_for(300s);
  for (const auto& [slave, count] : bus.good()) {
    CAPTURE(slave);
    CHECK(count >= (slave == 4 ? 0 : 285));
  }
  CHECK(bus.asked[4].size() < 40);  // one time-out for each back-off
  CHECK(bus.line->connects == 1);
  CHECK_FALSE(bus.line->talked_over);
}

TEST_CASE("after a time-out only that slave is left alone, for four time-outs") {
  Bus bus(2, 300ms);
  int to_lose = 1;
  bus.silent = [&](int slave) { return slave == 2 && to_lose-- > 0; };
  bus.run_for(10s);
  const auto& asked = bus.asked[2];
  REQUIRE(asked.size() > 2);
  CHECK(asked[1] - asked[0] >= 800ms);
  CHECK(bus.good()[1] >= 30);
  CHECK(bus.line->connects == 1);
}

TEST_CASE("a line stays open when replies are late, and none of them becomes the value of a later request") {
  Bus bus(3, 300ms);
  std::map<signals::TagIndex, std::uint16_t> newest;  // every request is answered with a number of its own
  std::uint16_t number = 0;
  bus.line->answer = [&](const ReadRequest& request) {
    newest[request.unit] = ++number;
    bus.line->arrive(test::reply_to(request, number), number % 4 == 0 ? 350ms : 5ms);
  };
  int good = 0;
  int wrong = 0;
  for (int i = 0; i < 3000; ++i) {
    bus.run_for(100ms);
    for (const auto& sample : bus.samples.take()) {
      if (sample.quality != signals::Quality::good) continue;
      ++good;
      if (sample.value != newest[sample.tag]) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(good > 300);
  CHECK(bus.line->connects == 1);
}
