// What load() makes of a right configuration: values, defaults, the order of layers, positions.
#include <set>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

const std::string kExamples = std::string(TWINKEEPER_SOURCE_DIR) + "/tests/unit/config/examples";

config::Config loaded(const std::string& file, const config::Environment& environment = {}) {
  auto result = config::load(file, {false, environment});
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&result)) {
    for (const auto& fault : *faults) UNSCOPED_INFO(fault.text());
  }
  REQUIRE(std::holds_alternative<config::Config>(result));
  return std::get<config::Config>(std::move(result));
}

std::vector<config::Diagnostic> faults(const std::string& file, const config::LoadOptions& options = {}) {
  auto result = config::load(file, options);
  REQUIRE(std::holds_alternative<std::vector<config::Diagnostic>>(result));
  return std::get<std::vector<config::Diagnostic>>(std::move(result));
}

constexpr const char* kSmall = R"(gateway: {id: "${NAME:-gw}"}
devices:
  - name: plc
    controller: tcp://${HOST}:${PORT:-1502}
    poll_interval: ${INTERVAL}
    slave_id: ${UNIT:-3}
    registers: [{name: level, register: holding, address: 0, type: FLOAT32}]
)";

}  // namespace

TEST_CASE("load fills devices and registers from the example with every key") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  CHECK(config.gateway.id == "line3-gw1");
  CHECK(config.gateway.state_directory == kExamples + "/state");
  REQUIRE(config.devices.size() == 5);
  const auto& driver = config.devices[0].driver;
  CHECK(driver.address.host == "127.0.0.1");
  CHECK(driver.address.port == 1502);
  CHECK(driver.poll_interval == 100ms);
  CHECK(driver.timeout == 500ms);
  CHECK(driver.collection_offset == 10ms);
  CHECK(driver.busy_retries == 2);
  CHECK(driver.optimization_max_register_fill == 20);
  CHECK(driver.workarounds.max_word_registers_per_request == 100);
  CHECK(config.devices[0].publish.interval == base::Duration{1s});
  REQUIRE(driver.registers.size() == 7);
  REQUIRE(config.devices[0].registers.size() == 7);
  const auto& pump = driver.registers[2];
  CHECK(pump.kind == drivers::RegisterKind::input);
  CHECK(pump.type == drivers::ValueType::INT16);
  CHECK(pump.scale == 0.01);
  CHECK(pump.scaled);
  CHECK(pump.poll_interval == 200ms);
  const auto& options = config.devices[0].registers[2];
  CHECK(options.validation.error_values == std::vector<double>{-32768.0, 32767.0});
  CHECK(options.validation.max_age == 1s);
  CHECK(options.validation.stuck_rule == acquisition::StuckRule::off);
  CHECK_FALSE(options.publish);
  CHECK(config.devices[0].registers[1].validation.stuck_after == 30s);
  CHECK(driver.registers[1].byte_order == drivers::ByteOrder::CDAB);
  CHECK(driver.registers[3].type == drivers::ValueType::BIT);
  CHECK(driver.registers[3].address == 255);
  CHECK(driver.registers[4].bit == 3);
  CHECK(driver.registers[5].length == 16);
  REQUIRE(driver.writable.size() == 2);
  CHECK(driver.writable[0].reg == 1);
  CHECK(driver.writable[0].min_value == 0.1);
  CHECK(driver.writable[0].max_value == 1.5);
  CHECK(driver.writable[0].max_step == 0.25);
  CHECK(driver.writable[0].per_minute == 6);
  CHECK_FALSE(driver.writable[0].multiple);
  CHECK(driver.writable[1].reg == 6);
  CHECK(driver.writable[1].multiple);
  CHECK(config.commands.allows("write"));
  CHECK(config.commands.max_age == 2min);
  CHECK(config.commands.per_minute == 20);
  CHECK_FALSE(config.commands.require_synchronised_clock);
  CHECK(config.commands.allow == std::vector<std::string>{"write"});
}

TEST_CASE("load turns the conditions of regimes into parts with tags") {
  using Kind = acquisition::ConditionPart::Kind;
  const config::Config config = loaded(kExamples + "/full.yaml");
  const auto& regimes = config.twins[0].regimes;
  REQUIRE(regimes.size() == 2);
  CHECK(regimes[0].name == "running");
  CHECK(regimes[0].settle == 30s);
  REQUIRE(regimes[0].when.size() == 4);
  CHECK(regimes[0].when[0].kind == Kind::greater);
  CHECK(regimes[0].when[0].tag == config.devices[0].driver.registers[2].tag);
  CHECK(regimes[0].when[0].number == 0.5);
  CHECK(regimes[0].when[1].tag == config.devices[0].driver.registers[3].tag);
  CHECK(regimes[0].when[2].kind == Kind::negation);
  CHECK(regimes[0].when[3].kind == Kind::both);
  CHECK(regimes[1].settle == 0s);
  CHECK(config.twins[1].regimes.empty());
}

TEST_CASE("without a commands section nothing is allowed and nothing subscribed to") {
  const TemporaryFolder folder;
  const config::Config config = loaded(folder.write("a.yaml", kSmall), {{"HOST", "h"}, {"INTERVAL", "1s"}});
  CHECK_FALSE(config.commands.enabled);
  CHECK_FALSE(config.commands.allows("write"));
}

TEST_CASE("load gives each device of a bus the connection of the bus") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  for (const std::size_t d : {std::size_t{3}, std::size_t{4}}) {
    const auto& driver = config.devices[d].driver;
    CHECK(driver.bus == "rs485_1");
    CHECK(drivers::link_name(driver) == "rs485_1");
    CHECK(driver.controller == "file:///dev/ttyS9");
    CHECK(drivers::endpoint_key(driver) == "/dev/ttyS9");
    CHECK(driver.transmission_mode == drivers::TransmissionMode::RTU);
    CHECK(driver.line.baud_rate == 19200);
    CHECK(driver.line.parity == drivers::Parity::even);
    REQUIRE(driver.line.rs485);
    CHECK(driver.line.rs485->delay_rts_after_send == 2ms);
    CHECK(driver.line.rs485->rts_high_during_send);
    CHECK(driver.line.rs485->rx_during_tx);
  }
  CHECK(drivers::link_name(config.devices[0].driver) == "tcp://127.0.0.1:1502");
}

TEST_CASE("load reads bit fields, BCD, the orders of eight bytes and text with a character to a register") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  const auto& registers = config.devices[3].driver.registers;
  CHECK(registers[0].bit == 4);
  CHECK(registers[0].bits == 3);
  CHECK(registers[1].type == drivers::ValueType::BCD32);
  CHECK(registers[2].byte_order == drivers::ByteOrder::EFGHABCD);
  CHECK(drivers::word_count(registers[3]) == 4);
}

TEST_CASE("the phase of a device is its offset and a share of its jitter that its name decides") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  CHECK(drivers::phase_of(config.devices[0].driver) == 10ms);
  std::set<base::Duration> phases;
  drivers::DeviceSettings device = config.devices[3].driver;
  for (int i = 0; i < 100; ++i) {
    device.name = "meter_" + std::to_string(i);
    const base::Duration phase = drivers::phase_of(device);
    CHECK(phase >= 0ms);
    CHECK(phase < 200ms);
    phases.insert(phase / 20ms * base::Duration{20ms});
  }
  CHECK(phases.size() == 10);
}

TEST_CASE("load numbers tags over all devices and gives registers the defaults of their device") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  signals::TagIndex expected = 0;
  for (const auto& device : config.devices) {
    for (const auto& entry : device.driver.registers) CHECK(entry.tag == expected++);
  }
  CHECK(config.devices[0].registers[0].validation.max_age == 300ms);
  CHECK(config.devices[0].driver.registers[0].poll_interval == 100ms);
  CHECK_FALSE(config.devices[0].driver.registers[0].scaled);
}

TEST_CASE("load puts register sets and files in place in the order of the list") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  std::vector<std::string> names;
  for (const auto& entry : config.devices[1].driver.registers) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"energy", "running", "voltage", "current", "spare"});
  CHECK(config.devices[1].driver.registers[4].address == 40001);
  CHECK(config.devices[2].driver.registers.size() == 2);
  CHECK(config.devices[1].driver.address.port == 502);
}

TEST_CASE("load maps a twin's inputs and outputs in the order of the model") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  REQUIRE(config.twins.size() == 2);
  const auto& tanks = config.twins[0];
  CHECK(tanks.period == 100ms);
  REQUIRE(tanks.inputs.size() == 2);
  CHECK(tanks.inputs[0].tag == signals::TagIndex{2});
  CHECK(tanks.inputs[0].max_age == base::Duration{3s});
  CHECK(tanks.inputs[0].on_stale == acquisition::OnStale::nominal);
  CHECK_FALSE(tanks.inputs[1].tag.has_value());
  CHECK(tanks.inputs[1].constant == 21.5);
  REQUIRE(tanks.outputs.size() == 2);
  CHECK(tanks.outputs[0].tag == signals::TagIndex{0});
  CHECK_FALSE(tanks.outputs[1].tag.has_value());
  CHECK(tanks.publish.layout == telemetry::StateLayout::flat);
}

TEST_CASE("load reads a model file and an inline model alike") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  const auto& tank = config.twins[0].model;
  CHECK(tank.name == "two_tank");
  CHECK(tank.sample_time == 0.1);
  CHECK(tank.A == model::Rows{{0.995, 0.0}, {0.004, 0.996}});
  CHECK(tank.noise.Q == model::Rows{{1e-8, 0.0}, {0.0, 1e-8}});
  CHECK(tank.states[1].initial == 0.08);
  CHECK(tank.operating_point.u == std::vector<double>{3.0, 20.0});
  CHECK(tank.hash.substr(0, 7) == "sha256:");
  CHECK(tank.hash.size() == 7 + 64);
  CHECK(tank.file == kExamples + "/models/two_tank.yaml");
  const auto& room = config.twins[1].model;
  CHECK(room.time == model::TimeBase::continuous);
  CHECK(room.dx == std::vector<double>{0.02});
  CHECK(room.file.empty());
  CHECK(room.hash != tank.hash);
}

TEST_CASE("load lays the configuration's diagnosis over the model's key by key") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  const auto& tanks = config.twins[0].diagnosis;
  CHECK_FALSE(tanks.gate.has_value());  // the configuration's
  CHECK(tanks.cusum.drift == 0.25);     // the model's
  CHECK(tanks.cusum.limit == 12.0);     // the configuration's
  CHECK(tanks.off_delay == 30s);
  CHECK_FALSE(config.twins[0].diagnosis_is_default);
  CHECK(config.twins[1].diagnosis_is_default);
  CHECK(config.twins[1].diagnosis.gate == 5.0);
  REQUIRE(config.warnings.size() == 1);
  CHECK(config.warnings[0].path == "twins[1]");
}

TEST_CASE("load takes a diagnosis from a file with or without its key") {
  const TemporaryFolder folder;
  for (const char* text : {"gate: 7\n", "diagnosis: {gate: 7}\n"}) {
    folder.write("limits.yaml", text);
    const auto file = folder.write("a.yaml", R"(gateway: {id: gw}
twins:
  - name: room
    period: 1s
    model: {model: {name: room, time: continuous, states: [{name: t}], outputs: [{name: t}], A: [[-1]], C: [[1]],
                    noise: {Q: [[1]], R: [[1]]}}, diagnosis: {on_delay: 9s}}
    diagnosis: limits.yaml
)");
    const config::Config config = loaded(file);
    CHECK(config.twins[0].diagnosis.gate == 7.0);
    CHECK(config.twins[0].diagnosis.on_delay == 9s);
  }
}

TEST_CASE("load lays a twin's limits over calibrated ones key by key") {
  const TemporaryFolder folder;
  const auto file = folder.write("a.yaml", R"(gateway: {id: gw}
twins:
  - name: room
    period: 1s
    model: {model: {name: room, time: continuous, states: [{name: t}], outputs: [{name: t}], A: [[-1]], C: [[1]],
                    noise: {Q: [[1]], R: [[1]]}},
            diagnosis: {calibration: {period: 1s, regimes: {all: {hours: 2, nis: 2.5, outputs: {t: {scale: 1.5, cusum: 18}}}}}}}
    diagnosis: {calibration: {regimes: {all: {outputs: {t: {cusum: 20}}}}}}
)");
  const auto calibration = loaded(file).twins[0].diagnosis.calibration;
  REQUIRE(calibration.regimes.size() == 1);
  CHECK(calibration.regimes[0].nis == 2.5);
  CHECK(calibration.regimes[0].hours == 2.0);
  REQUIRE(calibration.regimes[0].outputs.size() == 1);
  CHECK(calibration.regimes[0].outputs[0].scale == 1.5);
  CHECK(calibration.regimes[0].outputs[0].cusum == 20.0);
  CHECK(calibration.regimes[0].outputs[0].block == 1);
}

TEST_CASE("load replaces variables in scalars and takes defaults for unset and empty ones") {
  const TemporaryFolder folder;
  const auto file = folder.write("a.yaml", kSmall);
  const config::Config config =
      loaded(file, {{"HOST", "plc.local"}, {"INTERVAL", "250ms"}, {"PORT", ""}, {"UNIT", "9"}});
  CHECK(config.gateway.id == "gw");
  CHECK(config.devices[0].driver.controller == "tcp://plc.local:1502");
  CHECK(config.devices[0].driver.poll_interval == 250ms);
  CHECK(config.devices[0].driver.slave_id == 9);
}

TEST_CASE("what a variable holds is not looked at for variables again") {
  const TemporaryFolder folder;
  const auto file = folder.write("a.yaml", kSmall);
  auto result = config::load(file, {false, {{"HOST", "${INTERVAL}"}, {"INTERVAL", "1s"}}});
  REQUIRE(std::holds_alternative<std::vector<config::Diagnostic>>(result));
  CHECK(std::get<1>(result)[0].what.find("\"tcp://${INTERVAL}:1502\"") != std::string::npos);
}

TEST_CASE("two dollars stand for one before a bracket") {
  const TemporaryFolder folder;
  const auto unit_of = [&](const std::string& unit) {
    const config::Config config = loaded(
        folder.write("a.yaml",
                     "gateway: {id: gw}\ndevices: [{name: plc, controller: tcp://plc, poll_interval: 1s, registers: "
                     "[{name: a, register: input, address: 0, type: INT16, unit: \"" +
                         unit + "\"}]}]\n"),
        {{"A", "a"}, {"B", "${A}"}});
    // What is written out means the same when it is read again, without any variable.
    const config::Config again = loaded(folder.write("b.yaml", config.expanded));
    CHECK(again.hash == config.hash);
    CHECK(again.devices[0].driver.registers[0].unit == config.devices[0].driver.registers[0].unit);
    return config.devices[0].driver.registers[0].unit;
  };
  CHECK(unit_of("$${A}") == "${A}");
  CHECK(unit_of("$$${A}") == "$${A}");
  CHECK(unit_of("${A}$${A}${A}") == "a${A}a");
  CHECK(unit_of("${A}$${") == "a${");
  CHECK(unit_of("${B}") == "${A}");
  CHECK(unit_of("$$ $A $") == "$$ $A $");
}

TEST_CASE("load accepts %YAML 1.2 before the configuration") {
  const TemporaryFolder folder;
  CHECK(loaded(folder.write("a.yaml", "%YAML 1.2\n---\ngateway: {id: gw}\n")).gateway.id == "gw");
}

TEST_CASE("an error value of 64 bits reads alike in hexadecimal and decimal") {
  const TemporaryFolder folder;
  const config::Config config = loaded(folder.write("a.yaml", R"(gateway: {id: gw}
devices:
  - name: plc
    controller: tcp://plc
    poll_interval: 1s
    registers:
      - {name: a, register: input, address: 0, type: UINT64, error_value: [0xFFFFFFFFFFFFFFFF, 18446744073709551615]}
)"));
  const auto& values = config.devices[0].registers[0].validation.error_values;
  REQUIRE(values.size() == 2);
  CHECK(values[0] == values[1]);
}

TEST_CASE("load reads host names and addresses of both versions as controllers") {
  const TemporaryFolder folder;
  const auto address = [&](const std::string& controller) {
    const auto file =
        folder.write("a.yaml", "gateway: {id: gw}\ndevices: [{name: plc, poll_interval: 1s, controller: \"" +
                                   controller + "\", registers: [{name: run, register: coil, address: 0}]}]\n");
    const auto result = config::load(file, {false, {}});
    const auto* config = std::get_if<config::Config>(&result);
    if (config == nullptr) return std::string("refused");
    const auto& found = config->devices[0].driver.address;
    return found.host + " " + std::to_string(found.port);
  };
  CHECK(address("tcp://PLC-1.local") == "plc-1.local 502");
  CHECK(address("tcp://10.0.0.7:1502") == "10.0.0.7 1502");
  CHECK(address("tcp://[::1]:1502") == "::1 1502");
  CHECK(address("tcp://[0:0::1]:1502") == "::1 1502");
  CHECK(address("tcp://[fe80::1%eth0]") == "fe80::1%eth0 502");
  for (const char* wrong : {"tcp://", "tcp://:502", "tcp://a:", "tcp://a:0", "tcp://a:0502", "tcp://[::1",
                            "tcp://[::1]502", "tcp://a b", "tcp://a/b", "udp://a"}) {
    INFO(wrong);
    CHECK(address(wrong) == "refused");
  }
}

TEST_CASE("process_environment always has a host name") {
  const auto environment = config::process_environment();
  REQUIRE(environment.count("HOSTNAME") == 1);
  CHECK_FALSE(environment.at("HOSTNAME").empty());
}

TEST_CASE("the uplink gets the limits of aws-iot-core and none under mqtt") {
  const TemporaryFolder folder;
  const std::string common = "gateway: {id: gw}\nuplink: {endpoint: broker, cert: c, key: k, root_ca: r, profile: ";
  const config::Config aws = loaded(folder.write("aws.yaml", common + "aws-iot-core}\n"));
  REQUIRE(aws.uplink.has_value());
  CHECK(aws.uplink->max_messages_per_second == 80.0);
  CHECK(aws.uplink->max_bytes_per_second == 400u * 1024u);
  CHECK(aws.uplink->client_id == "gw");
  CHECK(aws.uplink->topic_prefix == "twinkeeper/gw");
  CHECK(aws.uplink->endpoints.front().port == 8883);
  CHECK(aws.uplink->cert == folder.path().string() + "/c");
  const config::Config plain = loaded(folder.write("mqtt.yaml", common + "mqtt, thing_name: other}\n"));
  CHECK_FALSE(plain.uplink->max_messages_per_second.has_value());
  CHECK_FALSE(plain.uplink->max_bytes_per_second.has_value());
  CHECK(plain.uplink->client_id == "other");
  CHECK(plain.spool.directory == "/var/lib/twinkeeper");
}

TEST_CASE("the period of a twin is the sample time of its discrete model unless given") {
  const TemporaryFolder folder;
  const config::Config config = loaded(folder.write("a.yaml", R"(gateway: {id: gw}
twins:
  - name: room
    model: {name: room, sample_time: 0.25, states: [{name: t}], outputs: [{name: t}], A: [[0.5]], C: [[1]],
            noise: {K: [[0.1]], Ry: [[1]]}}
)"));
  CHECK(config.twins[0].period == 250ms);
}

TEST_CASE("locate places a later fault by the longest known part of its path") {
  const config::Config config = loaded(kExamples + "/full.yaml");
  const auto in_model = config.locate({"twins[0].model.noise.Q", "is no covariance", "a PSD matrix"});
  CHECK(in_model.text() ==
        kExamples + "/models/two_tank.yaml:21:8: model.noise.Q: is no covariance; accepted: a PSD matrix");
  CHECK(config.locate({"twins[0].model.A[1][0]", "w", "a"}).path == "model.A[1][0]");
  CHECK(config.locate({"twins[1].model.noise.R", "w", "a"}).path == "twins[1].model.noise.R");
  CHECK(config.locate({"twins[1].model.noise.R", "w", "a"}).line > 60);
  const auto in_set = config.locate({"devices[1].registers[0].type", "w", "a"});
  CHECK(in_set.path == "register_sets.meter[0].type");
  CHECK(in_set.what.find("used by devices[1].registers[0]") != std::string::npos);
  CHECK(config.locate({"nowhere", "w", ""}).text() == kExamples + "/full.yaml:2:1: nowhere: w");
}

TEST_CASE("a configuration that is not there is told apart from a wrong one") {
  const auto missing = faults("/nonexistent/twinkeeper.yaml");
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].no_input);
  CHECK(missing[0].text() == "/nonexistent/twinkeeper.yaml: no such file; accepted: a file that exists");
  const TemporaryFolder folder;
  const auto directory = faults(folder.path().string());
  CHECK(directory[0].no_input);
  CHECK(directory[0].text() == folder.path().string() + ": is a directory; accepted: a YAML file");
  CHECK_FALSE(faults(folder.write("a.yaml", "gateway: 3\n"))[0].no_input);
}

TEST_CASE("a file above 1 MiB is refused before it is parsed") {
  const TemporaryFolder folder;
  const auto file = folder.write("a.yaml", "gateway: {id: gw}\n#" + std::string(1u << 20, 'x') + "\n");
  CHECK(faults(file)[0].what == "larger than 1 MiB");
}

TEST_CASE("ranges, lags and the hold of a model are read, and a range that no tag can be held against is a warning") {
  const TemporaryFolder folder;
  const config::Config config = loaded(folder.write("a.yaml", R"(gateway: {id: gw}
twins:
  - name: room
    period: 1s
    inputs: {heat: 5}
    model: {name: room, time: continuous, discretization: foh, states: [{name: t}], inputs: [{name: heat}],
            outputs: [{name: t, lag: 2500ms}], A: [[-0.5]], B: [[1]], C: [[1]], noise: {Q: [[1]], R: [[1]]},
            validity: {u: {heat: [0, 10]}, y: {t: [15, 25.5]}}}
    diagnosis: {}
)"));
  REQUIRE(config.warnings.size() == 1);
  CHECK(config.warnings[0].path == "twins[0].outputs");
  const model::ModelSettings& model = config.twins[0].model;
  CHECK(model.discretization == model::Discretization::foh);
  CHECK(model.outputs[0].lag == 2500ms);
  REQUIRE(model.validity.u.size() == 1);
  CHECK(model.validity.u[0].name == "heat");
  REQUIRE(model.validity.y.size() == 1);
  CHECK(model.validity.y[0].min == 15.0);
  CHECK(model.validity.y[0].max == 25.5);
  for (const char* text : {"discretization: foh", "lag: 2500ms", "heat: [0, 10]"}) {
    CHECK(config.expanded.find(text) != std::string::npos);
  }
}

TEST_CASE("an input constant outside the model's limits is a warning") {
  const TemporaryFolder folder;
  const config::Config config = loaded(folder.write("a.yaml", R"(gateway: {id: gw}
twins:
  - name: room
    inputs: {heat: 12}
    model: {name: room, sample_time: 1, states: [{name: t}], inputs: [{name: heat, max: 10}], outputs: [{name: t}],
            A: [[0.5]], B: [[1]], C: [[1]], noise: {Q: [[1]], R: [[1]]}}
    diagnosis: {}
)"));
  REQUIRE(config.warnings.size() == 1);
  CHECK(config.warnings[0].path == "twins[0].inputs.heat");
}
