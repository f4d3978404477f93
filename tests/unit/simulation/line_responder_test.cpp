#include "simulation/line_responder.hpp"

#include <string>
#include <string_view>
#include <utility>
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

LineResponder::Instrument instrument_of(const drivers::DeviceSettings& device, double value = 1.5) {
  return {device, LineTemplate::create(device).value(),
          [reg = device.registers[0], value] { return std::vector{drivers::raw_from_value(reg, value)}; }};
}

template <class... Instruments>
LineResponder responder_of_all(Instruments... instruments) {
  std::vector<LineResponder::Instrument> all;
  (all.push_back(std::move(instruments)), ...);
  return LineResponder(std::move(all));
}

LineResponder responder_of(const drivers::DeviceSettings& device) { return responder_of_all(instrument_of(device)); }

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
  responder.set_out(0, true);
  CHECK(talk.say("SI\r\n").empty());
  CHECK(responder.all_out());
}

TEST_CASE("each of several instruments on a line answers its own request") {
  auto with_channel = scale("#01\r");
  with_channel.instrument.request = "#010\r";
  auto responder = responder_of_all(instrument_of(scale("#01\r"), 1), instrument_of(scale("#02\r"), 2),
                                    instrument_of(with_channel, 3), instrument_of(scale("#0"), 4));
  Conversation talk(responder);
  const std::string one = "1 kg*1D\r\n";
  const std::string two = "2 kg*1E\r\n";
  const std::string three = "3 kg*1F\r\n";
  CHECK(talk.say("#01\r") == one);
  CHECK(talk.say("#02\r") == two);
  CHECK(talk.say("#02\r#010\r#01\r") == two + three + one);  // in the order in which they were asked
  CHECK(talk.say("noise#02\r") == two);
  responder.set_out(1, true);
  CHECK(talk.say("#02\r#01\r") == one);
  CHECK_FALSE(responder.all_out());
  for (const int instrument : {0, 2, 3}) responder.set_out(instrument, true);
  CHECK(responder.all_out());
  CHECK(talk.say("#01\r").empty());
  CHECK(responder.requests() == 7);
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
