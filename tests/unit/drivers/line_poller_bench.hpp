// What the tests of LinePoller share: a scale whose weight is asked for, or which speaks by itself.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "drivers/line_checksum.hpp"
#include "drivers/line_poller.hpp"
#include "fake_instrument.hpp"
#include "poller_rig.hpp"

namespace twinkeeper::test {

using namespace std::chrono_literals;

inline drivers::DeviceSettings scale_settings(const std::string& request = "SI\r\n") {
  drivers::DeviceSettings settings;
  settings.name = "scale";
  settings.controller = "file:///dev/ttyS0";
  settings.transmission_mode = drivers::TransmissionMode::LINE;
  settings.line.device = "/dev/ttyS0";
  settings.line.baud_rate = 10'000;  // a character in a millisecond
  settings.poll_interval = 1s;
  settings.timeout = 200ms;
  settings.instrument.request = request;
  settings.instrument.pattern = R"(^S S\s+(?P<weight>[-+0-9.]+) kg( n=(?P<count>[-0-9]+))?$)";
  settings.instrument.max_line = 40;
  settings.registers.resize(1);
  settings.registers[0].name = settings.registers[0].group = "weight";
  settings.registers[0].type = drivers::ValueType::FLOAT64;
  return settings;
}

struct LineBench {
  explicit LineBench(drivers::DeviceSettings device = scale_settings(), bool tcp = false)
      : settings(std::move(device)) {
    if (tcp) settings.line.device.clear();
    auto transport = std::make_unique<FakeInstrument>(clock, tcp);
    instrument = transport.get();
    poller = std::make_unique<drivers::LinePoller>(settings, base::Instant{10s}, clock, samples, events,
                                                   std::move(transport));
  }
  // A line as the instrument writes it: with its checksum and terminator.
  [[nodiscard]] std::string line(std::string text) const {
    drivers::append_checksum(settings.instrument.checksum, text);
    return text + settings.instrument.terminator;
  }
  [[nodiscard]] const drivers::DeviceStatistics& statistics() const { return poller->statistics(0); }
  [[nodiscard]] base::Duration since_start() const { return clock.now() - base::Instant{10s}; }

  // As app's loop does: what is due, and what is readable, whichever comes first.
  void run_until(base::Instant end) {
    while (clock.now() < end) {
      const base::Instant next = poller->poll_due({});
      const base::Instant readable = poller->descriptor() >= 0 ? instrument->next_byte() : base::Instant::max();
      const base::Instant wake = std::min(std::min(next, readable), end);
      if (wake > clock.now()) clock.sleep_until(wake);
    }
  }
  void run_for(base::Duration duration) { run_until(clock.now() + duration); }

  support::FakeClock clock{base::Instant{10s}};
  RememberingSamples samples;
  RememberingEvents events;
  drivers::DeviceSettings settings;
  FakeInstrument* instrument = nullptr;  // the poller's
  std::unique_ptr<drivers::LinePoller> poller;
};

}  // namespace twinkeeper::test
