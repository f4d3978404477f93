#include "app/device_loop.hpp"

#include <unistd.h>

#include <string>
#include <thread>

#include "app/heartbeat.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/pseudo_terminal.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

struct NoEvents final : signals::EventSink {
  void raise(signals::Event) override {}
};

void say(const test::PseudoTerminal& line, const std::string& text) {
  REQUIRE(::write(line.far_end(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("a line of a free running instrument wakes the loop long before its next cycle") {
  const test::PseudoTerminal line;
  drivers::DeviceSettings settings;
  settings.name = "scale";
  settings.transmission_mode = drivers::TransmissionMode::LINE;
  settings.line.device = line.name();
  settings.line.baud_rate = 115'200;
  settings.poll_interval = 1h;
  settings.instrument.pattern = "(?P<weight>[0-9.]+) kg";
  settings.registers.resize(1);
  settings.registers[0].group = "weight";
  settings.registers[0].type = drivers::ValueType::FLOAT64;
  const base::SystemClock clock;
  NoEvents events;
  app::DeviceLoop loop({settings}, clock.now(), clock, events);
  app::Heartbeat heart("device", 10s, clock.now());
  std::jthread thread([&](std::stop_token stop) { loop.run(std::move(stop), heart); });
  const auto& connected = loop.poller().statistics(0).connected;
  REQUIRE(test::eventually(
      10s, [&] { return connected.load(); }, 1ms));

  say(line, "9 kg\r\n");  // may have begun before the line was opened
  signals::Sample sample;
  for (int k = 1; k <= 20; ++k) {
    say(line, std::to_string(k) + " kg\r\n");
    // Without the descriptor the loop would look again after its longest nap, a second.
    REQUIRE(test::eventually(
        500ms, [&] { return loop.queue().try_pop(sample); }, 1ms));
    CHECK(sample.value == k);
  }
  CHECK(loop.queue().dropped() == 0);
  const base::Instant stop_at = clock.now();
  thread.request_stop();
  thread.join();
  CHECK(clock.now() - stop_at < 900ms);
}
