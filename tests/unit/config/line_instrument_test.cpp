// A LINE instrument from its text to the driver's settings and back.
#include <set>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace twinkeeper;

const std::string kConfiguration = R"(gateway: {id: gw1}
register_sets:
  balance:
    - {name: weight, type: FLOAT64, unit: kg, scale: 0.001}
    - {name: pieces, group: n, type: UINT32, publish: false}
devices:
  - name: scale
    controller: file:///dev/ttyUSB0
    transmission_mode: LINE
    baud_rate: 4800
    data_bits: 7
    parity: even
    poll_interval: 500ms
    workarounds: {pause_after_connect: 2s}
    line: {request: "\x02S\tI\r\n", terminator: "\r", pattern: '(?P<weight>[0-9.]+) \$\{N=(?P<n>\d+)', max_line: 64, checksum: xor}
    registers: balance
  - name: gauge
    controller: tcp://moxa:4001
    transmission_mode: LINE
    poll_interval: 1s
    line: {pattern: '(?P<level>[0-9.]+)'}
    registers: [{name: level, type: STRING}]
)";

config::LoadOptions with_issues(base::Issues issues) {
  config::LoadOptions options;
  options.examine_line = [issues](const drivers::DeviceSettings& device) {
    return device.name == "scale" ? issues : base::Issues{};
  };
  return options;
}

}  // namespace

TEST_CASE("a LINE instrument is read with its defaults") {
  TemporaryFolder folder;
  const auto loaded = config::load(folder.write("c.yaml", kConfiguration), with_issues({}));
  REQUIRE(std::holds_alternative<config::Config>(loaded));
  const auto& config = std::get<config::Config>(loaded);
  const auto& scale = config.devices[0].driver;
  CHECK(scale.transmission_mode == drivers::TransmissionMode::LINE);
  CHECK(scale.line.data_bits == 7);
  CHECK(scale.instrument.request == "\x02S\tI\r\n");
  CHECK(scale.instrument.terminator == "\r");
  CHECK(scale.instrument.max_line == 64);
  CHECK(scale.instrument.checksum == drivers::LineChecksum::xor8);
  CHECK(scale.registers[0].group == "weight");
  CHECK(scale.registers[0].poll_interval == std::chrono::milliseconds{500});
  CHECK(scale.registers[1].group == "n");
  const auto& gauge = config.devices[1].driver;
  CHECK(gauge.instrument.free_running());
  CHECK(gauge.instrument.terminator == "\r\n");
  CHECK(gauge.instrument.max_line == 256);
  CHECK(gauge.registers[0].type == drivers::ValueType::STRING);
  CHECK(config.warnings.empty());
}

TEST_CASE("the expanded text of a LINE instrument means the same again") {
  TemporaryFolder folder;
  const auto loaded = config::load(folder.write("c.yaml", kConfiguration), with_issues({}));
  const auto& config = std::get<config::Config>(loaded);
  const auto again = config::load(folder.write("again.yaml", config.expanded), with_issues({}));
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&again)) FAIL(faults->front().text());
  CHECK(std::get<config::Config>(again).hash == config.hash);
  CHECK(std::get<config::Config>(again).devices[0].driver.instrument.pattern ==
        config.devices[0].driver.instrument.pattern);
  for (const char* absent : {"address", "register:", "slave_id", "byte_order", "busy_retries"}) {
    CHECK(config.expanded.find(absent) == std::string::npos);
  }
}

TEST_CASE("what the driver finds wrong with a LINE instrument is placed at its key") {
  TemporaryFolder folder;
  const auto file = folder.write("c.yaml", kConfiguration);
  const auto loaded = config::load(
      file, with_issues({{"line.pattern", "is wrong", "another"}, {"registers[0].group", "is no group", "weight"}}));
  REQUIRE(std::holds_alternative<std::vector<config::Diagnostic>>(loaded));
  const auto& faults = std::get<std::vector<config::Diagnostic>>(loaded);
  std::set<std::string> found;
  for (const auto& fault : faults) found.insert(fault.text().substr(file.size()));
  CHECK(found == std::set<std::string>{":4:7: register_sets.balance[0].group: is no group (used by "
                                       "devices[0].registers at " +
                                           file + ":16:16); accepted: weight",
                                       ":15:64: devices[0].line.pattern: is wrong; accepted: another"});
}

TEST_CASE("a backslash that YAML leaves as it stands is warned of") {
  TemporaryFolder folder;
  std::string text = kConfiguration;
  text.replace(text.find("\"\\x02S\\tI\\r\\n\""), 14, "'SI\\r\\n'");
  const auto loaded = config::load(folder.write("c.yaml", text), with_issues({}));
  REQUIRE(std::holds_alternative<config::Config>(loaded));
  const auto& warnings = std::get<config::Config>(loaded).warnings;
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].path == "devices[0].line.request");
  CHECK(warnings[0].what.find("only in double quotes") != std::string::npos);
}
