#include "app/config_change.hpp"

#include <filesystem>
#include <fstream>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;
using app::ConfigChange;

namespace {

const std::string kRunning = R"(gateway: {id: gw1, state_directory: state}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 100ms
    writable: [{name: level, min_value: 0, max_value: 2, max_step: 1}]
    registers:
      - {name: level, register: holding, address: 0, type: FLOAT32, unit: m}
      - {name: pump, register: input, address: 10, type: FLOAT32, unit: V}
twins:
  - name: tank
    model: model.yaml
    inputs: {pump: plc.pump}
    outputs: {level: plc.level}
uplink: {endpoint: "localhost:8883", profile: mqtt, cert: gateway.crt, key: gateway.key, root_ca: ca.crt}
spool: {max_bytes: 64MiB}
commands: {enabled: true, allow: [describe]}
)";

const std::string kRunningModel = R"(model:
  name: tank
  version: 1
  type: state_space
  time: discrete
  sample_time: 0.1
  states: [{name: level, unit: m, initial: 0.5, initial_std: 0.01}]
  inputs: [{name: pump, unit: V}]
  outputs: [{name: level, unit: m, noise_std: 0.002}]
  A: [[0.98]]
  B: [[0.01]]
  C: [[1]]
  noise: {Q: [[1.0e-6]]}
diagnosis: {gate: 5}
)";

struct Change {
  std::string from, to;
};

class Versions {
 public:
  // With the first occurrence of each `from` replaced, in the configuration or else in the model.
  app::Plan plan(const std::vector<Change>& changes = {}, bool aws = false) {
    std::string text = kRunning, model = kRunningModel;
    const auto replace = [](std::string& in, const Change& change) {
      const std::size_t at = in.find(change.from);
      if (at == std::string::npos) return false;
      in.replace(at, change.from.size(), change.to);
      return true;
    };
    if (aws) REQUIRE(replace(text, {"profile: mqtt", "profile: aws-iot-core"}));
    for (const Change& change : changes) REQUIRE((replace(text, change) || replace(model, change)));
    for (const char* name : {"model.yaml", "copy.yaml"}) std::ofstream(folder_.file(name)) << model;
    std::ofstream(folder_.file("c.yaml")) << text;
    config::LoadOptions options;
    options.check_files = false;
    auto made = app::make_plan(folder_.file("c.yaml"), options);
    if (const auto* faults = std::get_if<app::Faults>(&made)) FAIL(faults->front().text());
    return std::get<app::Plan>(std::move(made));
  }
  ConfigChange between(const std::vector<Change>& changes, bool aws = false) {
    return app::change_between(plan({}, aws), plan(changes, aws));
  }

 private:
  const test::TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("what has not changed restarts nothing") {
  Versions versions;
  CHECK(versions.between({}) == ConfigChange::none);
  CHECK(versions.between({{"twins:", "# a remark\ntwins:"}}) == ConfigChange::none);
  CHECK(versions.between({{"spool: {max_bytes: 64MiB}", "spool: {max_bytes: 65536KiB, max_age: 7d}"}}) ==
        ConfigChange::none);
}

TEST_CASE("another level of the log restarts nothing, but is a change") {
  Versions versions;
  const Change level{"state_directory: state", "state_directory: state, log_level: debug"};
  CHECK(versions.between({level}) == ConfigChange::level);
  CHECK(versions.between({level, {"64MiB", "65MiB"}}) == ConfigChange::north);
  CHECK(versions.between({level, {"gate: 5", "gate: 4"}}) == ConfigChange::south);
}

TEST_CASE("a change towards the broker leaves devices and twins alone") {
  Versions versions;
  for (const Change& change : std::vector<Change>{{"localhost:8883", "localhost:8884"},
                                                  {"root_ca: ca.crt", "root_ca: other.crt"},
                                                  {"root_ca: ca.crt", "root_ca: ca.crt, digits: 5"},
                                                  {"root_ca: ca.crt", "root_ca: ca.crt, username: me"},
                                                  {"root_ca: ca.crt", "root_ca: ca.crt, topic_prefix: a/b"},
                                                  {"root_ca: ca.crt", "root_ca: ca.crt, max_messages_per_second: 90"},
                                                  {"64MiB", "65MiB"},
                                                  {"64MiB", "64MiB, discard_policy: thin"},
                                                  {"[describe]", "[describe, snapshot]"},
                                                  {"enabled: true, allow: [describe]", "enabled: false"}}) {
    INFO(change.to);
    CHECK(versions.between({change}) == ConfigChange::north);
  }
}

TEST_CASE("a change towards the machine leaves the connection alone") {
  Versions versions;
  for (const Change& change : std::vector<Change>{
           {"poll_interval: 100ms", "poll_interval: 50ms"},
           {"127.0.0.1:1502", "127.0.0.1:1503"},
           {"max_step: 1", "max_step: 0.5"},
           {"address: 0", "address: 0, publish: false"},
           {"poll_interval: 100ms", "poll_interval: 100ms\n    publish: {interval: 1s}"},
           {"twins:\n  - name: tank", "twins:\n  - name: tank1"},
           {"outputs: {level: plc.level}", "outputs: {level: plc.level}\n    publish: {state_interval: 5s}"},
           {"model: model.yaml", "model: copy.yaml"},
           {"A: [[0.98]]", "A: [[0.97]]"},
           {"gate: 5", "gate: 4"},
           {"initial: 0.5", "initial: 0.50000000000000011"}}) {
    INFO(change.to);
    CHECK(versions.between({change}) == ConfigChange::south);
  }
}

TEST_CASE("what both sides are made with restarts both") {
  Versions versions;
  const Change north{"64MiB", "65MiB"}, south{"gate: 5", "gate: 4"};
  CHECK(versions.between({north, south}) == ConfigChange::both);
  for (const Change& change :
       std::vector<Change>{{"id: gw1", "id: gw2"},
                           {"state_directory: state", "state_directory: other"},
                           {"state_directory: state", "state_directory: state, control_socket: ctl"},
                           {"[describe]", "[describe, write]"}}) {
    INFO(change.to);
    CHECK(versions.between({change}) == ConfigChange::both);
  }
}

TEST_CASE("twins with a shadow have topics that a connection subscribes to when it begins") {
  Versions versions;
  CHECK(versions.between({{"gate: 5", "gate: 4"}}, true) == ConfigChange::south);
  CHECK(versions.between({{"twins:\n  - name: tank", "twins:\n  - name: tank1"}}, true) == ConfigChange::both);
}

TEST_CASE("an overlay of another version is told by the side that tells it") {
  Versions versions;
  app::Plan running = versions.plan(), next = versions.plan();
  running.config.overlay = config::Overlay{"o.json", "{}", 1};
  CHECK(app::change_between(running, next) == ConfigChange::north);
  next.config.overlay = config::Overlay{"o.json", "{}", 2};
  CHECK(app::change_between(running, next) == ConfigChange::north);
  next.config.overlay->version = 1;
  CHECK(app::change_between(running, next) == ConfigChange::none);
  next.config.plant_hash = "sha256:other";
  next.config.overlay->version = 2;
  CHECK(app::change_between(running, next) == ConfigChange::south);
}
