#include "drivers/bus_time.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

DeviceSettings device_with_words(int count, int distance) {
  DeviceSettings device;
  device.poll_interval = 100ms;
  device.timeout = 500ms;
  for (int i = 0; i < count; ++i) {
    RegisterSettings reg;
    reg.address = static_cast<std::uint16_t>(i * distance);
    device.registers.push_back(reg);
  }
  return device;
}

}  // namespace

TEST_CASE("One short request takes the least time of ten milliseconds") {
  const DeviceSettings device = device_with_words(3, 1);
  const BusTime time = bus_time({&device, 1});
  REQUIRE(time.groups.size() == 1);
  CHECK(time.requests == 1);
  CHECK(time.bytes == 12 + 9 + 6);
  CHECK(time.time == 10ms);
  CHECK(time.time_with_timeout == 510ms);
  CHECK(time.utilisation == Approx(0.01));
  CHECK(time.met());
  CHECK_FALSE(time.met_with_timeout());
}

TEST_CASE("Pauses count for every request and an interval that is too short is told") {
  std::vector<DeviceSettings> devices{device_with_words(20, 200), device_with_words(1, 1)};
  devices[0].workarounds.pause_between_requests = 5ms;
  devices[0].workarounds.pause_after_connect = 7ms;
  CHECK(bus_time(devices).time == 121ms);
  CHECK_FALSE(bus_time(devices).met());
  devices[0].workarounds.close_connection_after_gather = true;
  CHECK(bus_time(devices).groups[0].time == 127ms);
  devices[0].poll_interval = 1s;
  CHECK(bus_time(devices).shortest_interval == 100ms);
  devices[0].registers.clear();
  CHECK(bus_time(devices).met());
}

TEST_CASE("A bus without registers takes no time") {
  const BusTime time = bus_time({});
  CHECK(time.time == 0ns);
  CHECK(time.met());
}

TEST_CASE("A line instrument costs its request and the longest line that may answer") {
  DeviceSettings device;
  device.transmission_mode = TransmissionMode::LINE;
  device.line.device = "/dev/ttyS0";
  device.line.baud_rate = 10'000;  // a character in a millisecond
  device.poll_interval = 100ms;
  device.timeout = 50ms;
  device.instrument.request = "SI\r\n";
  device.instrument.max_line = 80;
  device.registers.resize(2);
  const BusTime time = bus_time({&device, 1});
  REQUIRE(time.groups.size() == 1);
  CHECK(time.requests == 1);
  CHECK(time.bytes == 4 + 80 + 2);
  CHECK(time.time == 1ms + 86ms + 2 * 3500us);
  CHECK(time.met());
  CHECK_FALSE(time.met_with_timeout());
  device.instrument.max_line = 120;
  CHECK_FALSE(bus_time({&device, 1}).met());
  device.line.device.clear();  // through TCP
  CHECK(bus_time({&device, 1}).time == 10ms);

  device.instrument.request.clear();  // by itself: nothing is asked, so nothing can be too much
  const BusTime free_running = bus_time({&device, 1});
  CHECK(free_running.requests == 0);
  CHECK(free_running.utilisation == 0.0);
  CHECK(free_running.met_with_timeout());
}

TEST_CASE("Line instruments on one line cost the sum of all") {
  std::vector<DeviceSettings> devices(3);
  for (DeviceSettings& device : devices) {
    device.transmission_mode = TransmissionMode::LINE;
    device.line.device = "/dev/ttyS0";
    device.line.baud_rate = 10'000;  // a character in a millisecond
    device.poll_interval = 100ms;
    device.timeout = 40ms;
    device.workarounds.pause_between_requests = 2ms;
    device.instrument.request = "#01\r";
    device.instrument.terminator = "\r";
    device.instrument.max_line = 15;
    device.registers.resize(1);
  }
  BusTime time = bus_time(devices);
  CHECK(time.requests == 3);
  CHECK(time.bytes == 3 * 20);
  CHECK(time.time == 3 * (1ms + 2ms + 20ms + 2 * 3500us));
  CHECK(time.met());
  CHECK_FALSE(time.met_with_timeout());
  devices.push_back(devices.front());
  CHECK_FALSE(bus_time(devices).met());
}
