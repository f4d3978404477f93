// What the tests of SharedLinePoller share: modules on one line, which answer "#01", "#02" … with the number of the
// request in thousandths, so that no two lines of a run have the same value.
#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/line_checksum.hpp"
#include "drivers/shared_line_poller.hpp"
#include "fake_instrument.hpp"
#include "poller_rig.hpp"

namespace twinkeeper::test {

using namespace std::chrono_literals;

// `address`: their lines, and so the patterns, begin with the module's number.
inline std::vector<drivers::DeviceSettings> modules(int count, bool address) {
  std::vector<drivers::DeviceSettings> all(static_cast<std::size_t>(count));
  for (int m = 0; m < count; ++m) {
    drivers::DeviceSettings& one = all[static_cast<std::size_t>(m)];
    const std::string number = "0" + std::to_string(m + 1);
    one.name = "module " + number;
    one.controller = "file:///dev/ttyS0";
    one.transmission_mode = drivers::TransmissionMode::LINE;
    one.line.device = "/dev/ttyS0";
    one.line.baud_rate = 10'000;  // a character in a millisecond
    one.poll_interval = 1s;
    one.timeout = 200ms;
    one.instrument.request = "#" + number + "\r";
    one.instrument.terminator = "\r";
    one.instrument.pattern = "^>" + (address ? number : std::string{}) + R"((?P<value>[+-]\d+\.\d{3})$)";
    one.instrument.max_line = 40;
    one.registers.resize(1);
    one.registers[0].name = one.registers[0].group = "value";
    one.registers[0].type = drivers::ValueType::FLOAT64;
    one.registers[0].tag = static_cast<signals::TagIndex>(m);
  }
  return all;
}

struct SharedLineBench {
  explicit SharedLineBench(std::vector<drivers::DeviceSettings> devices, bool with_address, bool tcp = false)
      : settings(std::move(devices)), address(with_address) {
    for (auto& device : settings) {
      if (tcp) device.line.device.clear();
    }
    auto transport = std::make_unique<FakeInstrument>(clock, tcp);
    wire = transport.get();
    poller = std::make_unique<drivers::SharedLinePoller>(settings, base::Instant{10s}, clock, samples, events,
                                                         std::move(transport));
  }
  // The module that the n-th request (from 1) went to.
  [[nodiscard]] std::size_t asked(std::size_t request) const {
    return static_cast<std::size_t>(wire->sent[request - 1].second[2] - '1');
  }
  [[nodiscard]] std::size_t asked() const { return asked(wire->sent.size()); }
  // What the module asked last answers.
  [[nodiscard]] std::string line() const {
    std::array<char, 32> value{};
    std::snprintf(value.data(), value.size(), "%+.3f", 0.001 * static_cast<double>(wire->sent.size()));
    std::string text = ">" + (address ? "0" + std::to_string(asked() + 1) : std::string{}) + value.data();
    drivers::append_checksum(settings[asked()].instrument.checksum, text);
    return text + "\r";
  }
  // Whether it is the value that was asked of this module, with a time between its request and the time-out.
  [[nodiscard]] bool right(const signals::Sample& sample) const {
    const auto n = static_cast<std::size_t>(sample.value * 1000 + 0.5);
    if (n < 1 || n > wire->sent.size() || asked(n) != sample.tag) return false;
    const base::Instant sent = wire->sent[n - 1].first;
    return sample.time >= sent && sample.time <= sent + settings[sample.tag].timeout / 2;
  }
  struct Counts {
    std::vector<int> good, bad;  // by module
    int wrong = 0;               // of the good ones
  };
  Counts count() {
    Counts counts{std::vector<int>(settings.size()), std::vector<int>(settings.size()), 0};
    for (const signals::Sample& sample : samples.take()) {
      const bool good = sample.quality == signals::Quality::good;
      ++(good ? counts.good : counts.bad)[sample.tag];
      counts.wrong += good && !right(sample) ? 1 : 0;
    }
    return counts;
  }
  [[nodiscard]] std::vector<int> requests() const {
    std::vector<int> counts(settings.size());
    for (std::size_t n = 1; n <= wire->sent.size(); ++n) ++counts[asked(n)];
    return counts;
  }
  [[nodiscard]] drivers::DeviceState state(std::size_t module) const { return poller->statistics(module).state; }

  void run_for(base::Duration duration) {
    const base::Instant end = clock.now() + duration;
    while (clock.now() < end) {
      const base::Instant next = std::min(poller->poll_due({}), end);
      if (next > clock.now()) clock.sleep_until(next);
    }
  }

  support::FakeClock clock{base::Instant{10s}};
  RememberingSamples samples;
  RememberingEvents events;
  std::vector<drivers::DeviceSettings> settings;
  const bool address;
  FakeInstrument* wire = nullptr;  // the poller's
  std::unique_ptr<drivers::SharedLinePoller> poller;
};

}  // namespace twinkeeper::test
