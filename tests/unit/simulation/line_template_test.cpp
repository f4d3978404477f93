#include "simulation/line_template.hpp"

#include <string>
#include <vector>

#include "drivers/decoder.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using drivers::ValueType;
using simulation::LineTemplate;

drivers::DeviceSettings instrument(const std::string& pattern, const std::string& group = "weight",
                                   ValueType type = ValueType::FLOAT64) {
  drivers::DeviceSettings device;
  device.transmission_mode = drivers::TransmissionMode::LINE;
  device.instrument.pattern = pattern;
  device.registers.resize(1);
  device.registers[0].name = device.registers[0].group = group;
  device.registers[0].type = type;
  return device;
}

std::string line_of(const drivers::DeviceSettings& device, double value) {
  auto made = LineTemplate::create(device);
  if (!made.ok()) return "refused";
  std::vector<signals::RawValue> values;
  for (const auto& reg : device.registers) values.push_back(drivers::raw_from_value(reg, value));
  return made.value().line(values);
}

}  // namespace

TEST_CASE("a line is made of the pattern and its value is as exact as the pattern allows") {
  CHECK(line_of(instrument(R"(^\s*(?P<weight>[-+0-9.]+) kg)"), 12.5) == "12.5 kg");
  CHECK(line_of(instrument(R"(^S S\s+(?P<weight>[-+0-9.]+) (kg|g)$)"), -0.125) == "S S -0.125 kg");
  CHECK(line_of(instrument(R"(^ST,GS,(?P<weight>[-+]\d{5}\.\d{2})kg$)"), 12.5) == "ST,GS,+00012.50kg");
  CHECK(line_of(instrument(R"(^ST,GS,(?P<weight>[-+]\d{5}\.\d{2})kg$)"), -3.0) == "ST,GS,-00003.00kg");
  CHECK(line_of(instrument(R"(>(?P<weight>[+-]\d+\.\d{3}))"), 1.0 / 3.0) == ">+0.333");
  CHECK(line_of(instrument(R"(^(?P<weight>\d+)$)"), 12.6) == "13");
  CHECK(line_of(instrument(R"(\x02(?P<weight>[0-9.]+)\x{03}[[:digit:]x]\.?\w\D\.)"), 2.0) ==
        "\x02"
        "2\x03"
        "00 .");
  CHECK(line_of(instrument(R"((?i)(?:abc)?T=(?P<weight>-?[0-9]+(\.[0-9]+)?)(?:[^ ]{2,3})*C)"), -7.25) == "T=-7.25C");
  CHECK(line_of(instrument(R"(\Q(a.b)*\E(?P<weight>[0-9.]+)\Q kg)"), 7.25) == "(a.b)*7.25 kg");
  CHECK(line_of(instrument(R"(E[0-9]+|OK (?P<weight>[0-9.]+))"), 7.25) == "OK 7.25");
  CHECK(line_of(instrument(R"((OK )?((?P<weight>[0-9.]+) kg)?)"), 7.25) == "7.25 kg");
}

TEST_CASE("integers and several groups stand in one line") {
  auto device = instrument(R"(^N(?P<count>\d{4}) (?P<weight>[-0-9.]+)(?P<unit>kg|lb)$)", "count", ValueType::UINT16);
  device.registers.push_back(device.registers[0]);
  device.registers[1].group = "weight";
  device.registers[1].type = ValueType::FLOAT32;
  device.registers.push_back(device.registers[0]);
  device.registers[2].group = "unit";
  device.registers[2].type = ValueType::STRING;
  CHECK(line_of(device, 17.0) == "N0017 17kg");
  auto made = LineTemplate::create(device);
  std::vector<signals::RawValue> values;
  for (const double value : {3.0, 0.1, 0.0}) {
    values.push_back(drivers::raw_from_value(device.registers[values.size()], value));
  }
  CHECK(made.value().line(values) == "N0003 0.1kg");
}

TEST_CASE("a value that the pattern cannot show stands there and is no match") {
  const auto device = instrument(R"(^(?P<weight>\d+) kg$)", "weight", ValueType::INT32);
  CHECK(line_of(device, -5.0) == "-5 kg");
}

TEST_CASE("a pattern of which no line can be made is refused") {
  CHECK(line_of(instrument(R"(\pN\pN(?P<weight>[0-9.]+))"), 1.0) == "refused");
  CHECK(line_of(instrument(R"((?P<weight>[a-z]+))"), 1.0) == "refused");
  auto short_line = instrument(R"(^(?P<weight>[0-9.]+) kilograms)");
  short_line.instrument.max_line = 5;
  CHECK(line_of(short_line, 1.0) == "refused");
  auto made = LineTemplate::create(instrument(R"((?P<weight>[a-z]+))"));
  CHECK(made.error().message().find("line.pattern") == 0);
}

TEST_CASE("a brace that repeats nothing stands for itself") {
  CHECK(line_of(instrument(R"({9999999999 (?P<weight>[0-9.]+) x{2})"), 1.5) == "{9999999999 1.5 xx");
}
