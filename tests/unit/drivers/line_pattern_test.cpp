#include "drivers/line_pattern.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace twinkeeper::drivers;

DeviceSettings scale(const std::string& pattern, const std::vector<std::string>& groups) {
  DeviceSettings device;
  device.transmission_mode = TransmissionMode::LINE;
  device.instrument.pattern = pattern;
  for (const std::string& group : groups) {
    device.registers.emplace_back();
    device.registers.back().group = group;
  }
  return device;
}

}  // namespace

TEST_CASE("named groups are found by name and place") {
  auto pattern = LinePattern::compile(R"(^(S|T) (?P<state>[SD])\s+(?P<weight>[-+0-9.]+) (?P<unit>kg|g)$)").value();
  CHECK(pattern.groups() == std::vector<std::string>{"state", "weight", "unit"});
  std::vector<std::string_view> texts;
  REQUIRE(pattern.match("S S      12.50 kg", texts));
  CHECK(texts == std::vector<std::string_view>{"S", "12.50", "kg"});
  CHECK_FALSE(pattern.match("S I", texts));
  CHECK_FALSE(pattern.match("S S      12.50 kg ", texts));
}

TEST_CASE("a pattern without anchors is found anywhere and bytes are bytes") {
  auto pattern = LinePattern::compile("(?P<weight>[0-9.]+) kg|(?P<error>E[0-9]+)").value();
  std::vector<std::string_view> texts;
  REQUIRE(pattern.match("\xff\xfe 1.5 kg\x80", texts));
  CHECK(texts[0] == "1.5");
  CHECK(texts[1].data() == nullptr);
  REQUIRE(pattern.match("E12", texts));
  CHECK(texts[0].data() == nullptr);
  CHECK(texts[1] == "E12");
}

TEST_CASE("a pattern that would take other engines for ever takes RE2 no time") {
  auto pattern = LinePattern::compile("^(?P<x>(a+)+)$").value();
  std::vector<std::string_view> texts;
  CHECK_FALSE(pattern.match(std::string(4096, 'a') + "b", texts));
}

TEST_CASE("what is wrong with a pattern is told at its key") {
  CHECK(examine_line(scale("(?P<weight>[0-9.]+)", {"weight"})).empty());

  const auto broken = examine_line(scale("(?P<weight>[0-9.+", {"weight"}));
  REQUIRE(broken.size() == 1);
  CHECK(broken[0].path == "line.pattern");
  CHECK(broken[0].what == "is no regular expression that RE2 takes: missing ]: [0-9.+");

  const auto look_ahead = examine_line(scale("(?=x)(?P<weight>[0-9.]+)", {"weight"}));
  REQUIRE(look_ahead.size() == 1);

  const auto nameless = examine_line(scale("([0-9.]+)", {"weight"}));
  REQUIRE(nameless.size() == 1);
  CHECK(nameless[0].what == "has no named group");

  const auto unknown = examine_line(scale("(?P<net>[0-9.]+) (?P<tare>[0-9.]+)", {"net", "weight", "gross"}));
  REQUIRE(unknown.size() == 2);
  CHECK(unknown[0].path == "registers[1].group");
  CHECK(unknown[0].what == "the pattern has no group \"weight\"");
  CHECK(unknown[0].accepted == "a named group of line.pattern: net, tare");
  CHECK(unknown[1].path == "registers[2].group");
}
