#include "app/device_loop.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "app/heartbeat.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

struct NoEvents final : signals::EventSink {
  void raise(signals::Event) override {}
};

// The instrument's end of a line.
class Instrument {
 public:
  Instrument() : line_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    REQUIRE(line_ >= 0);
    REQUIRE(::grantpt(line_) == 0);
    REQUIRE(::unlockpt(line_) == 0);
    std::array<char, 64> name{};
    REQUIRE(::ptsname_r(line_, name.data(), name.size()) == 0);
    device_ = name.data();
    far_end_ = ::open(device_.c_str(), O_RDWR | O_NOCTTY);
    termios settings{};
    ::tcgetattr(far_end_, &settings);
    ::cfmakeraw(&settings);
    ::tcsetattr(far_end_, TCSANOW, &settings);
  }
  ~Instrument() {
    ::close(far_end_);
    ::close(line_);
  }
  void say(const std::string& text) const {
    REQUIRE(::write(line_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] const std::string& device() const { return device_; }

 private:
  int line_, far_end_ = -1;
  std::string device_;
};

}  // namespace

TEST_CASE("a line of a free running instrument wakes the loop long before its next cycle") {
  const Instrument instrument;
  drivers::DeviceSettings settings;
  settings.name = "scale";
  settings.transmission_mode = drivers::TransmissionMode::LINE;
  settings.line.device = instrument.device();
  settings.line.baud_rate = 115'200;
  settings.poll_interval = 1h;
  settings.instrument.pattern = "(?P<weight>[0-9.]+) kg";
  settings.registers.resize(1);
  settings.registers[0].group = "weight";
  settings.registers[0].type = drivers::ValueType::FLOAT64;
  const base::SystemClock clock;
  NoEvents events;
  app::DeviceLoop loop({settings}, clock.now(), clock, events);
  const base::Instant open_by = clock.now() + 10s;
  app::Heartbeat heart("device", 10s, clock.now());
  std::jthread thread([&](std::stop_token stop) { loop.run(std::move(stop), heart); });
  while (!loop.poller().statistics(0).connected && clock.now() < open_by) std::this_thread::sleep_for(1ms);

  instrument.say("9 kg\r\n");  // may have begun before the line was opened
  signals::Sample sample;
  for (int k = 1; k <= 20; ++k) {
    const base::Instant said = clock.now();
    instrument.say(std::to_string(k) + " kg\r\n");
    const base::Instant give_up = said + 500ms;  // the loop's longest nap is a second
    bool there = false;
    while (!(there = loop.queue().try_pop(sample)) && clock.now() < give_up) std::this_thread::sleep_for(100us);
    REQUIRE(there);
    CHECK(sample.value == k);
  }
  CHECK(loop.queue().dropped() == 0);
  const base::Instant stop_at = clock.now();
  thread.request_stop();
  thread.join();
  CHECK(clock.now() - stop_at < 900ms);
}
