// What `check` finds beyond faults of the configuration itself, and where it says it is.
#include <algorithm>

#include "app/check_messages.hpp"
#include "app/check_report.hpp"
#include "support/catch.hpp"
#include "unit/config/temporary_folder.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::ordered_json;

namespace {

const std::string kModel = R"(model:
  name: tanks
  time: discrete
  sample_time: 0.1
  states: [{name: level_1, unit: m, initial: 0, initial_std: 1}, {name: level_2, unit: m, initial: 0, initial_std: 1}]
  inputs: [{name: pump, unit: V}]
  outputs: [{name: level_1, unit: m, noise_std: 0.002}, {name: level_2, unit: m, noise_std: 0.002}]
  A: [[0.98, 0], [0.02, 0.97]]
  B: [[0.01], [0]]
  C: [[1, 0], [0, 1]]
  noise: {Q: [[1.0e-6, 0], [0, 1.0e-6]]}
diagnosis: {gate: 5}
)";

// Lines that a test replaces stand alone.
const std::string kConfiguration = R"(gateway: {id: gw1, state_directory: state}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 100ms
    timeout: 20ms
    publish: {interval: 1s}
    registers:
      - {name: level_1, register: holding, address: 0, type: FLOAT32, unit: m}
      - {name: level_2, register: holding, address: 2, type: FLOAT32, unit: m}
      - {name: pump, register: input, address: 10, type: FLOAT32, unit: V}
twins:
  - name: tanks
    model: model.yaml
    inputs: {pump: plc.pump}
    outputs: {level_1: plc.level_1, level_2: plc.level_2}
    publish: {state_interval: 200ms}
uplink:
  endpoint: localhost:8883
  profile: mqtt
  cert: gateway.crt
  key: gateway.key
  root_ca: ca.crt
spool: {max_bytes: 4GiB, max_age: 1d}
)";

struct Edit {
  std::string from;
  std::string to;
};
using Edits = std::vector<Edit>;

std::string edited(std::string text, const Edits& edits) {
  for (const auto& [from, to] : edits) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  return text;
}

class Checked {
 public:
  explicit Checked(const Edits& edits = {}, const Edits& model_edits = {})
      : plan_(load(edits, model_edits)), findings(plan_.config) {}

  [[nodiscard]] app::Plan& plan() { return plan_; }
  // The section without the files, which these tests do not have.
  ordered_json run() {
    ordered_json report;
    std::vector<std::size_t> devices;
    for (std::size_t d = 0; d < plan_.config.devices.size(); ++d) devices.push_back(d);
    report["bus"] = app::check_bus(plan_, devices, findings);
    for (std::size_t i = 0; i < plan_.config.twins.size(); ++i) {
      report["twins"].push_back(app::check_twin(plan_, i, findings));
    }
    report.update(app::check_uplink(plan_, findings));
    return report;
  }
  [[nodiscard]] std::vector<std::string> errors() const { return texts(findings.errors()); }
  [[nodiscard]] std::vector<std::string> warnings() const { return texts(findings.warnings()); }

 private:
  app::Plan load(const Edits& edits, const Edits& model_edits) {
    folder_.write("model.yaml", edited(kModel, model_edits));
    config::LoadOptions options;
    options.check_files = false;
    auto made = app::make_plan(folder_.write("c.yaml", edited(kConfiguration, edits)), options);
    if (const auto* faults = std::get_if<app::Faults>(&made)) FAIL(faults->front().text());
    return std::get<app::Plan>(std::move(made));
  }
  [[nodiscard]] std::vector<std::string> texts(const std::vector<config::Diagnostic>& list) const {
    std::vector<std::string> out;
    for (const auto& diagnostic : list) {
      out.push_back(diagnostic.text());
      const std::string folder = folder_.path().string() + "/";
      REQUIRE(out.back().rfind(folder, 0) == 0);
      out.back().erase(0, folder.size());
    }
    return out;
  }

  TemporaryFolder folder_;
  app::Plan plan_;

 public:
  app::Findings findings;
};

ordered_json stream(const ordered_json& report, const std::string& name) {
  for (const auto& entry : report["streams"]) {
    if (entry["stream"] == name) return entry;
  }
  FAIL("no stream " << name);
  return nullptr;
}

bool begins_with(const std::vector<std::string>& lines, const std::string& start) {
  return std::any_of(lines.begin(), lines.end(), [&](const auto& line) { return line.rfind(start, 0) == 0; });
}

}  // namespace

TEST_CASE("check of a right plan finds nothing") {
  Checked checked;
  const auto report = checked.run();
  CHECK(checked.errors().empty());
  CHECK(checked.warnings().empty());
}

TEST_CASE("check places a poll interval that cannot be met at the device's key") {
  Checked checked(Edits{{"timeout: 20ms", "workarounds: {pause_between_requests: 200ms}"}});
  checked.run();
  CHECK(checked.errors() ==
        std::vector<std::string>{
            "c.yaml:5:20: devices[0].poll_interval: 100ms is less than the 402ms that one cycle of 2 "
            "requests on this connection takes; accepted: at least 402ms, or fewer requests and "
            "shorter pauses"});
}

TEST_CASE("check places a poll interval that cannot be met at the register's own key") {
  Checked checked(Edits{{"timeout: 20ms", "workarounds: {pause_between_requests: 10ms}"},
                        {"unit: V}", "unit: V, poll_interval: 10ms}"}});
  checked.run();
  REQUIRE(checked.errors().size() == 1);
  CHECK(checked.errors()[0].rfind("c.yaml:11:91: devices[0].registers[2].poll_interval: 10ms is less than the ", 0) ==
        0);
}

TEST_CASE("check warns at the time-out that makes a cycle too long") {
  Checked checked(Edits{{"timeout: 20ms", "timeout: 2s"}});
  checked.run();
  REQUIRE(checked.warnings().size() == 1);
  CHECK(checked.warnings()[0] ==
        "c.yaml:6:14: devices[0].timeout: with one time-out one cycle of 2 requests on this connection takes 2010ms, "
        "longer than the shortest poll_interval of 100ms: polls are then left out");
}

TEST_CASE("check places rates above a limit at the limit") {
  Checked checked(
      Edits{{"profile: mqtt", "profile: mqtt\n  max_messages_per_second: 2\n  max_bytes_per_second: 1KiB"}});
  checked.run();
  REQUIRE(checked.errors().size() == 2);
  CHECK(
      checked.errors()[0] ==
      "c.yaml:21:28: uplink.max_messages_per_second: the streams make 6.018 messages/s, more than 2; accepted: longer "
      "publish intervals, or a limit of at least 7");
  CHECK(checked.errors()[1].rfind("c.yaml:22:25: uplink.max_bytes_per_second: the streams make ", 0) == 0);
}

TEST_CASE("check places a limit that nobody wrote at the section it would stand in") {
  Checked checked(
      Edits{{"profile: mqtt", "profile: aws-iot-core"}, {"200ms", "100ms"}, {"interval: 1s", "interval: 10ms"}});
  checked.run();
  REQUIRE(checked.errors().size() == 1);
  CHECK(checked.errors()[0].rfind("c.yaml:19:3: uplink.max_messages_per_second: the streams make 110 messages/s, more "
                                  "than 80; accepted: ",
                                  0) == 0);
}

TEST_CASE("check refuses messages above 128 KB and warns above 5120 bytes") {
  std::string registers = "registers:\n";
  for (int i = 0; i < 1000; ++i) {
    registers += "      - {name: text_" + std::to_string(i) +
                 ", register: input, address: " + std::to_string(i % 400 * 75) + ", type: STRING, length: 150" +
                 (i % 2 == 0 ? ", publish: false" : "") + "}\n";
  }
  Checked few(Edits{{"registers:\n", registers}});
  // Every second one is published: 500 texts of 150 bytes.
  few.run();
  CHECK(begins_with(few.warnings(), "c.yaml:9:7: devices[0].registers: a message of devices.plc.samples has up to "));
  std::string all = registers;
  for (std::size_t at = all.find(", publish: false"); at != std::string::npos; at = all.find(", publish: false")) {
    all.erase(at, 16);
  }
  Checked many(Edits{{"registers:\n", all}});
  many.run();
  const auto errors = many.errors();
  CHECK(begins_with(errors, "c.yaml:9:7: devices[0].registers: a message of devices.plc.samples has up to "));
  CHECK(std::any_of(errors.begin(), errors.end(), [](const auto& error) {
    return error.find("; accepted: at most 131072 bytes: publish: false for some registers") != std::string::npos;
  }));
}

TEST_CASE("check judges a twin by its measured outputs alone") {
  Checked whole;
  const auto with_both = whole.run()["twins"][0];
  CHECK(with_both["observable"] == true);
  CHECK(with_both["innovation_std"].size() == 2);
  CHECK(with_both["ambiguity_groups"] == ordered_json::array({{"pump.fault", "level_1.disturbance", "level_1.drift"},
                                                              {"level_2.disturbance", "level_2.drift"}}));
  CHECK(with_both["undetectable_faults"] == ordered_json::array());

  Checked part(Edits{{"outputs: {level_1: plc.level_1, level_2: plc.level_2}", "outputs: {level_1: plc.level_1}"}});
  const auto with_one = part.run()["twins"][0];
  CHECK(with_one["measured_outputs"] == ordered_json::array({"level_1"}));
  CHECK(with_one["observable"] == false);
  CHECK(with_one["detectable"] == true);
  CHECK(with_one["unobservable_states"] == ordered_json::array({"level_2"}));
  CHECK(with_one["innovation_std"].size() == 1);
  CHECK(with_one["steady_state_std"]["level_2"].get<double>() >
        1.5 * with_both["steady_state_std"]["level_2"].get<double>());
  CHECK(with_one["undetectable_faults"] == ordered_json::array({"level_2.disturbance"}));
  // The gain is to every output: a virtual one is estimated, too.
  CHECK(with_one["steady_state_gain"].size() == 2);
  CHECK(part.warnings() ==
        std::vector<std::string>{"c.yaml:16:14: twins[0].outputs: state level_2 takes part in a mode "
                                 "that no measured output shows"});
}

TEST_CASE("check places a state that no output shows at all in the model") {
  Checked checked(Edits{}, {{"C: [[1, 0], [0, 1]]", "C: [[1, 0], [2, 0]]"}});
  checked.run();
  CHECK(checked.warnings() ==
        std::vector<std::string>{"model.yaml:10:6: model.C: state level_2 takes part in a mode that no output shows"});
}

TEST_CASE("check says that a state which nobody sees does not decay") {
  Checked checked(Edits{{"outputs: {level_1: plc.level_1, level_2: plc.level_2}", "outputs: {level_1: plc.level_1}"}},
                  {{"A: [[0.98, 0], [0.02, 0.97]]", "A: [[0.98, 0], [0.02, 1]]"}});
  const auto twin = checked.run()["twins"][0];
  CHECK(twin["detectable"] == false);
  CHECK(twin["steady_state_std"] == nullptr);
  CHECK(twin["ambiguity_groups"] == nullptr);
  CHECK(checked.warnings() ==
        std::vector<std::string>{
            "model.yaml:8:6: model.A: the model does not come to rest by itself (spectral radius 1)",
            "c.yaml:16:14: twins[0].outputs: state level_2 takes part in a mode that no measured output shows and that "
            "does not decay: it is not known"});
}

TEST_CASE("check counts states as they are published and warns of an interval off the twin's grid") {
  struct Row {
    const char* interval;
    double rate;
    const char* warning;
  };
  for (const Row& row :
       {Row{"10ms", 10.0, "10ms is less than the period of 100ms: a state is published every 100ms"},
        Row{"260ms", 1.0 / 0.3, "260ms is no multiple of the period of 100ms: a state is published every 300ms"},
        Row{"300ms", 1.0 / 0.3, nullptr}}) {
    Checked checked(Edits{{"200ms", row.interval}});
    const auto report = checked.run();
    CHECK(stream(report, "twins.tanks.state")["messages_per_second"].get<double>() == Approx(row.rate));
    if (row.warning == nullptr) {
      CHECK(checked.warnings().empty());
    } else {
      CHECK(checked.warnings() ==
            std::vector<std::string>{"c.yaml:17:31: twins[0].publish.state_interval: " + std::string(row.warning)});
    }
  }
}

TEST_CASE("check tells every stream with topic and size, and rates of the periodic ones") {
  Checked checked;
  const auto report = checked.run();
  std::vector<std::string> names;
  for (const auto& entry : report["streams"]) {
    names.push_back(entry["stream"].get<std::string>());
    CAPTURE(names.back());
    CHECK(entry["topic_bytes"] == entry["topic"].get<std::string>().size());
    CHECK(entry["topic_slashes"].get<int>() >= 2);
    CHECK(entry["message_bytes"].get<std::size_t>() > 250);
  }
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"anomaly", "backlog", "devices.plc.anomaly", "devices.plc.info",
                                          "devices.plc.samples", "gap", "metrics", "status", "twins.tanks.anomaly",
                                          "twins.tanks.info", "twins.tanks.state"});
  CHECK(stream(report, "metrics")["messages_per_second"].get<double>() == Approx(1.0 / 60.0));
  CHECK(stream(report, "status")["messages_per_second"].get<double>() == Approx(1.0 / 900.0));
  CHECK(stream(report, "devices.plc.samples")["messages_per_second"].get<double>() == Approx(1.0));
  for (const char* event : {"anomaly", "backlog", "devices.plc.anomaly", "devices.plc.info", "gap"}) {
    CHECK(stream(report, event)["messages_per_second"] == nullptr);
  }
  CHECK(stream(report, "twins.tanks.anomaly")["topic"] == "twinkeeper/gw1/twins/tanks/anomaly");
  CHECK(stream(report, "gap")["topic"] == "twinkeeper/gw1/gap");

  Checked plain(Edits{{"profile: mqtt", "profile: mqtt\n  backlog: plain"}});
  CHECK(plain.run().dump().find("\"backlog\"") == std::string::npos);
}

TEST_CASE("check tells the topics of commands, and samples that only a command asks for") {
  CHECK(Checked().run()["commands"].is_null());
  const std::string commands = "commands: {enabled: true, allow: [write, what-if]}\nspool:";
  CHECK(Checked({{"spool:", commands}}).run()["commands"] ==
        ordered_json{{"topics_subscribed", {"twinkeeper/gw1/command/write", "twinkeeper/gw1/command/what-if"}},
                     {"topics_published", {"twinkeeper/gw1/response/*"}}});
  const Edit silent{"    publish: {interval: 1s}\n", ""};
  const auto count_samples = [](const ordered_json& report) {
    return std::count_if(report["streams"].begin(), report["streams"].end(),
                         [](const auto& entry) { return entry["stream"] == "devices.plc.samples"; });
  };
  CHECK(count_samples(Checked({silent, {"spool:", commands}}).run()) == 0);
  const ordered_json asked =
      Checked({silent, {"spool:", "commands: {enabled: true, allow: [snapshot]}\nspool:"}}).run();
  const ordered_json samples = stream(asked, "devices.plc.samples");
  CHECK(samples["when"] == "on the command snapshot");
  CHECK(samples["messages_per_second"].is_null());
}

TEST_CASE("check says how long draining takes by the limit that binds, or why it is not known") {
  const auto spool = [](const std::string& limits) {
    Checked checked(Edits{{"profile: mqtt", "profile: mqtt" + limits}});
    return checked.run()["spool"];
  };
  const auto unlimited = spool("");
  CHECK(unlimited["outage_hours"] == 24.0);
  CHECK(unlimited["drain_hours"] == nullptr);
  CHECK_FALSE(unlimited["drain_reason"].get<std::string>().empty());
  // 5 states, 1 message of samples a second and metrics, of which many fit a packet.
  const double publications = unlimited["drain_publications"].get<double>();
  CHECK(publications > 86400.0 / 60.0 + 6 * 86400.0 / 500.0);
  CHECK(publications < 86400.0 / 60.0 + 6 * 86400.0 / 50.0);

  const double by_messages = spool("\n  max_messages_per_second: 10")["drain_hours"].get<double>();
  CHECK(by_messages == Approx(publications / (10.0 - 5.0 - 1.0 - 1.0 / 60.0 - 1.0 / 900.0) / 3600.0).epsilon(1e-3));
  const double by_bytes = spool("\n  max_bytes_per_second: 64KiB")["drain_hours"].get<double>();
  CHECK(by_bytes > by_messages);
  CHECK(spool("\n  max_bytes_per_second: 64KiB\n  max_messages_per_second: 10")["drain_hours"].get<double>() ==
        Approx(by_bytes));
  const double plain = spool("\n  max_messages_per_second: 10\n  backlog: plain")["drain_hours"].get<double>();
  CHECK(plain == Approx(24.0 * (6.0 + 1.0 / 60.0) / (10.0 - 6.0 - 1.0 / 60.0 - 1.0 / 900.0)).epsilon(1e-6));
}

TEST_CASE("check warns at the spool's size if it is full before max_age") {
  Checked checked(Edits{{"max_bytes: 4GiB", "max_bytes: 1MiB"}});
  const auto report = checked.run();
  CHECK(report["spool"]["outage_hours"].get<double>() < 1.0);
  REQUIRE(checked.warnings().size() == 1);
  CHECK(checked.warnings()[0].rfind("c.yaml:24:20: spool.max_bytes: 1MiB are full after 0.", 0) == 0);
}

TEST_CASE("a pattern that RE2 refuses and a group it does not have are faults of the configuration") {
  TemporaryFolder folder;
  const std::string scale = R"(gateway: {id: gw1, state_directory: state}
devices:
  - name: scale
    controller: tcp://moxa:4001
    transmission_mode: LINE
    poll_interval: 1s
    line: {request: "SI\r\n", pattern: '(?P<weight>[-+0-9.]+) kg'}
    registers: [{name: mass, type: FLOAT64}, {name: net, group: weight, type: FLOAT64}]
)";
  config::LoadOptions options;
  options.check_files = false;
  const auto faults_of = [&](const std::string& text) {
    const auto file = folder.write("c.yaml", text);
    const auto made = app::make_plan(file, options);
    std::vector<std::string> out;
    if (const auto* faults = std::get_if<app::Faults>(&made)) {
      for (const auto& fault : *faults) out.push_back(fault.text().substr(file.size()));
    }
    return out;
  };
  CHECK(faults_of(scale) ==
        std::vector<std::string>{":8:17: devices[0].registers[0].group: the pattern has no group \"mass\"; accepted: a "
                                 "named group of line.pattern: weight"});
  CHECK(faults_of(edited(scale, {{"'(?P<weight>[-+0-9.]+) kg'", "'(?P<weight>[-+0-9.+ kg'"}})) ==
        std::vector<std::string>{":7:40: devices[0].line.pattern: is no regular expression that RE2 takes: missing ]: "
                                 "[-+0-9.+ kg; accepted: an expression with named groups, such as "
                                 "(?P<weight>[-+0-9.]+) kg"});
  CHECK(faults_of(edited(scale, {{"mass, type", "mass, group: weight, type"}})).empty());
}
