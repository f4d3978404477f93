#include "simulation/line_responder.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "drivers/decoder.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using simulation::LineResponder;
using simulation::LineTemplate;

drivers::DeviceSettings scale(const std::string& request) {
  drivers::DeviceSettings device;
  device.transmission_mode = drivers::TransmissionMode::LINE;
  device.poll_interval = 20ms;
  device.instrument.request = request;
  device.instrument.pattern = "(?P<weight>[-0-9.]+) kg";
  device.instrument.checksum = drivers::LineChecksum::xor8;
  device.registers.resize(1);
  device.registers[0].group = "weight";
  device.registers[0].type = drivers::ValueType::FLOAT64;
  return device;
}

LineResponder responder_of(const drivers::DeviceSettings& device) {
  return LineResponder(device, LineTemplate::create(device).value(),
                       [reg = device.registers[0]] { return std::vector{drivers::raw_from_value(reg, 1.5)}; });
}

constexpr const char* kLine = "1.5 kg*06\r\n";

struct Conversation {
  explicit Conversation(LineResponder& asked) : responder(asked) {}
  std::string say(std::string_view bytes) {
    received.insert(received.end(), bytes.begin(), bytes.end());
    std::vector<std::uint8_t> out;
    CHECK(responder.answer(received, out, 4096));
    return {out.begin(), out.end()};
  }
  LineResponder& responder;
  std::vector<std::uint8_t> received;
};

}  // namespace

TEST_CASE("each request is answered with one line however it comes") {
  auto responder = responder_of(scale("SI\r\n"));
  Conversation talk(responder);
  CHECK(talk.say("SI\r\n") == kLine);
  CHECK(talk.say("noiseSI").empty());
  CHECK(talk.say("\r\nS") == kLine);
  CHECK(talk.say("I\r\nSI\r\n") == std::string(kLine) + kLine);
  CHECK(talk.say(std::string(10'000, 'x')).empty());
  CHECK(talk.received.size() < 4);
  CHECK(responder.requests() == 4);
  CHECK(responder.speaks_at() == base::Instant::max());
  responder.set_out(1, true);
  CHECK(talk.say("SI\r\n").empty());
  CHECK(responder.all_out());
}

TEST_CASE("a free running instrument speaks once per poll interval and never twice for a lost turn") {
  auto responder = responder_of(scale(""));
  std::vector<std::uint8_t> out;
  responder.speak(base::Instant{1s + 3ms}, out);
  CHECK(std::string(out.begin(), out.end()) == kLine);
  CHECK(responder.speaks_at() == base::Instant{1s + 20ms});
  responder.speak(base::Instant{1s + 10ms}, out);
  CHECK(responder.requests() == 1);
  responder.speak(base::Instant{2s}, out);
  CHECK(responder.requests() == 2);
  CHECK(responder.speaks_at() == base::Instant{2s + 20ms});
  Conversation talk(responder);
  CHECK(talk.say("SI\r\n").empty());
}
