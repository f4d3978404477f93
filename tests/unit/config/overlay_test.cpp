// What is laid over the configuration file: merged by names, checked as a whole, kept from what it must not reach.
#include "config/config.hpp"

#include <iterator>
#include <random>
#include <set>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

constexpr const char* kOverlaid = R"(gateway: {id: gw, state_directory: state}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 100ms
    registers:
      - {name: level, register: holding, address: 0, type: FLOAT32, max_value: 2}
      - {name: pump, register: input, address: 10, type: FLOAT32}
twins:
  - name: tank
    model:
      name: tank
      type: state_space
      time: discrete
      sample_time: 0.1
      states: [{name: level}]
      inputs: [{name: pump}]
      outputs: [{name: level}]
      A: [[0.9]]
      B: [[0.1]]
      C: [[1]]
      D: [[0]]
      noise: {Q: [[1.0e-6]], R: [[1.0e-4]]}
    inputs: {pump: plc.pump}
    outputs: {level: plc.level}
    publish: {state_interval: 1s}
uplink: {endpoint: broker, cert: c, key: k, root_ca: r}
spool: {max_age: 7d}
)";

struct OverlayRig {
  TemporaryFolder folder;
  std::string file = folder.write("gateway.yaml", kOverlaid);
  std::string overlay = config::overlay_file(folder.path().string() + "/state");

  config::Loaded load(const std::string& text) const {
    config::LoadOptions options;
    options.check_files = false;
    options.replaced = {{overlay, text.empty() ? "" : "{\"version\": 3, \"overlay\": " + text + "}"}};
    return config::load(file, options);
  }
  config::Config good(const std::string& text) const {
    auto loaded = load(text);
    if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded)) {
      for (const auto& fault : *faults) UNSCOPED_INFO(fault.text());
    }
    REQUIRE(std::holds_alternative<config::Config>(loaded));
    return std::get<config::Config>(std::move(loaded));
  }
  std::string fault(const std::string& text) const {
    const auto loaded = load(text);
    const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded);
    if (faults == nullptr) return "";
    CHECK(faults->front().file == overlay);
    CHECK(faults->front().line == 1);
    return faults->front().path + ": " + faults->front().what;
  }
};

}  // namespace

TEST_CASE("an overlay changes what it names and nothing else") {
  const OverlayRig rig;
  const auto bare = rig.good("");
  CHECK_FALSE(bare.overlay);
  const auto laid = rig.good(
      R"({"devices": {"plc": {"poll_interval": "500ms", "registers": {"level": {"max_value": 3}}}},
          "twins": {"tank": {"publish": {"state_interval": "5s"}, "diagnosis": {"gate": 4}, "model": {"A": [[0.8]]}}},
          "uplink": {"digits": 5}, "spool": {"max_age": "3d", "discard_policy": "newest"}})");
  REQUIRE(laid.overlay);
  CHECK(laid.overlay->version == 3);
  CHECK(laid.overlay->file == rig.overlay);
  CHECK(laid.devices[0].driver.poll_interval == 500ms);
  CHECK(laid.devices[0].registers[0].validation.max_value == 3);
  CHECK(laid.devices[0].driver.registers[0].address == 0);
  CHECK(laid.twins[0].publish.state_interval == 5s);
  CHECK(laid.twins[0].diagnosis.gate == 4);
  CHECK(laid.twins[0].model.A == model::Rows{{0.8}});
  CHECK(laid.twins[0].model.B == bare.twins[0].model.B);
  CHECK(laid.uplink->digits == 5);
  CHECK(laid.spool.max_age == 72h);
  CHECK(laid.hash != bare.hash);
  REQUIRE_FALSE(laid.warnings.empty());
  CHECK(laid.warnings.back().what == "is laid over the configuration file");
}

TEST_CASE("an overlay is a file of the state directory") {
  const OverlayRig rig;
  std::filesystem::create_directory(rig.folder.path().string() + "/state");
  rig.folder.write("state/config_overlay.json", R"({"version": 9, "overlay": {"uplink": {"digits": 5}}})");
  config::LoadOptions options;
  options.check_files = false;
  const auto with = std::get<config::Config>(config::load(rig.file, options));
  REQUIRE(with.overlay);
  CHECK(with.overlay->version == 9);
  CHECK(with.overlay->text == R"({"uplink":{"digits":5}})");
  CHECK(with.uplink->digits == 5);
  options.overlay = false;
  CHECK_FALSE(std::get<config::Config>(config::load(rig.file, options)).overlay);
}

TEST_CASE("what an overlay may not reach stays as it is") {
  const OverlayRig rig;
  const std::string refused = "can't be changed by an overlay";
  CHECK(rig.fault(R"({"gateway": {"id": "other"}})") == "gateway: " + refused);
  CHECK(rig.fault(R"({"gateway": {"state_directory": "/tmp"}})") == "gateway: " + refused);
  CHECK(rig.fault(R"({"commands": {"enabled": true}})") == "commands: " + refused);
  CHECK(rig.fault(R"({"buses": {"x": {}}})") == "buses: " + refused);
  CHECK(rig.fault(R"({"register_sets": {"x": []}})") == "register_sets: " + refused);
  for (const char* key : {"endpoint", "cert", "key", "root_ca", "crl", "topic_prefix", "thing_name", "proxy",
                          "username", "password_file", "profile", "mqtt_version", "shadows", "jobs", "basic_ingest"}) {
    CHECK(rig.fault("{\"uplink\": {\"" + std::string(key) + "\": \"x\"}}") ==
          "uplink." + std::string(key) + ": " + refused);
  }
  CHECK(rig.fault(R"({"devices": {"plc": {"controller": "tcp://10.0.0.1"}}})") == "devices.plc.controller: " + refused);
  CHECK(rig.fault(R"({"devices": {"plc": {"writable": []}}})") == "devices.plc.writable: " + refused);
  CHECK(rig.fault(R"({"devices": {"plc": {"registers": {"level": {"name": "x"}}}}})") ==
        "devices.plc.registers.level.name: " + refused);
  CHECK(rig.fault(R"({"twins": {"tank": {"model": "/etc/shadow"}}})") == "twins.tank.model: can't name a file here");
  CHECK(rig.fault(R"({"twins": {"tank": {"diagnosis": "/etc/shadow"}}})") ==
        "twins.tank.diagnosis: can't name a file here");
  CHECK(rig.fault(R"({"devices": {"plc": {"registers": "/etc/shadow"}}})") ==
        "devices.plc.registers: can't name a file here");
  CHECK(rig.fault(R"({"uplink": {"digits": "${HOME}"}})") == "overlay.uplink.digits: a variable has no meaning here");
}

TEST_CASE("an overlay reaches no key of a device or register but those that say how often and how it is judged") {
  const OverlayRig rig;
  const std::set<std::string> of_device{
      "busy_retries",  "collection_jitter", "collection_offset", "optimization", "optimization_max_register_fill",
      "poll_interval", "publish",           "registers",         "timeout"};
  const std::set<std::string> of_register{"max_age",       "max_rate", "max_value",   "min_value",
                                          "poll_interval", "publish",  "stuck_after", "unit"};
  const auto refused = [&rig](const std::string& path, const std::string& overlay) {
    return rig.fault(overlay) == path + ": can't be changed by an overlay";
  };
  // Of all there are, those of later versions, too.
  const json::json_pointer of_items("/properties/devices/items/properties");
  const json device_keys = json::parse(config::configuration_schema()).at(of_items);
  const json register_keys = device_keys.at(json::json_pointer("/registers/anyOf/1/items/anyOf/0/properties"));
  REQUIRE(device_keys.contains("slave_id"));
  REQUIRE(register_keys.contains("address"));
  for (const auto& [key, schema] : device_keys.items()) {
    if (of_device.count(key) > 0) continue;
    CAPTURE(key);
    for (const char* value : {"1", "\"RTU\"", "[]", "{\"request\": \"GO\"}", "null"}) {
      CHECK(refused("devices.plc." + key, R"({"devices": {"plc": {")" + key + "\": " + value + "}}}"));
    }
  }
  for (const auto& [key, schema] : register_keys.items()) {
    if (of_register.count(key) > 0) continue;
    CAPTURE(key);
    CHECK(refused("devices.plc.registers.level." + key,
                  R"({"devices": {"plc": {"registers": {"level": {")" + key + "\": 1}}}}}"));
  }
  const auto laid =
      rig.good(R"({"devices": {"plc": {"timeout": "70ms", "publish": {"interval": "2s"}, "busy_retries": 2,
      "registers": {"level": {"unit": "m", "max_rate": 4, "publish": false}}}}})");
  CHECK(laid.devices[0].driver.timeout == 70ms);
  CHECK(laid.devices[0].driver.busy_retries == 2);
  CHECK(laid.devices[0].driver.registers[0].unit == "m");
}

TEST_CASE("what does not fit is told with its place") {
  const OverlayRig rig;
  CHECK(rig.fault(R"({"twins": {"tnak": {}}})") ==
        "twins.tnak: the file has nothing of this name, did you mean \"tank\"?");
  CHECK(rig.fault(R"({"twins": []})") == "twins: is no mapping by name");
  CHECK(rig.fault(R"({"twins": {"tank": 7}})") == "twins.tank: expected a mapping, got the number 7");
  CHECK(rig.fault(R"([])") == ": expected a mapping, got a list");
  CHECK(rig.fault(R"({"uplink": {"digits": 99}})").substr(0, 13) == "uplink.digits");
  CHECK(rig.fault(R"({"devices": {"plc": {"pol_interval": "1s"}}})").substr(0, 24) == "devices.plc.pol_interval");
  CHECK(rig.fault(R"({"twins": {"tank": {"model": {"A": [[1, 2]]}}}})").find("model") != std::string::npos);
  CHECK_FALSE(rig.fault("nonsense").empty());
  CHECK_FALSE(rig.fault("{\"a\": 1").empty());
}

TEST_CASE("a model of its own file takes no overlay but another text") {
  const OverlayRig rig;
  const std::string text = kOverlaid;
  const std::size_t from = text.find("    model:\n");
  const std::size_t to = text.find("    inputs: {pump");
  const std::string model = text.substr(from + 4, to - from - 4);
  rig.folder.write("gateway.yaml", text.substr(0, from) + "    model: tank.yaml\n" + text.substr(to));
  std::string unindented;
  for (std::size_t at = 0; at < model.size();) {
    const std::size_t end = model.find('\n', at) + 1;
    const std::string line = model.substr(at, end - at);
    unindented += line.compare(0, 4, "    ") == 0 ? line.substr(4) : line;
    at = end;
  }
  const std::string model_file = rig.folder.write("tank.yaml", unindented);
  CHECK(rig.good("").twins[0].model.A == model::Rows{{0.9}});
  CHECK(rig.fault(R"({"twins": {"tank": {"model": {"A": [[0.8]]}}}})").find("in a file of its own") !=
        std::string::npos);
  config::LoadOptions options;
  options.check_files = false;
  unindented.replace(unindented.find("0.9"), 3, "0.7");
  options.replaced[model_file] = unindented;
  CHECK(std::get<config::Config>(config::load(rig.file, options)).twins[0].model.A == model::Rows{{0.7}});
  options.replaced[model_file] = "model: {name: 7}\n";
  const auto faults = std::get<std::vector<config::Diagnostic>>(config::load(rig.file, options));
  CHECK(faults.front().file == model_file);
}

TEST_CASE("however an overlay is spoilt, what it may not reach stays as it is") {
  const OverlayRig rig;
  const auto bare = rig.good("");
  std::mt19937_64 random(1);
  const std::string whole =
      R"({"devices":{"plc":{"poll_interval":"500ms","registers":{"level":{"max_value":3}}}},"uplink":{"digits":5},)"
      R"("twins":{"tank":{"publish":{"state_interval":"5s"},"model":{"A":[[0.8]]}}},"spool":{"max_age":"3d"}})";
  const std::string pieces[] = {
      "\"gateway\":",  "\"controller\":", "\"model\":", "{",  "}",  "[",  "]",  "\"", ",",  "null",
      "\"endpoint\":", "\"commands\":",   "${HOME}",    "&a", "*a", "<<", "!t", "\n", "- ", ": "};
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = whole;
    for (std::uint64_t k = 0; k < 1 + random() % 3; ++k) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text.insert(at, pieces[random() % std::size(pieces)]);
      } else {
        text.erase(at, 1 + random() % 4);
      }
    }
    const auto loaded = rig.load(text);
    const auto* config = std::get_if<config::Config>(&loaded);
    if (config == nullptr) continue;
    ++good;
    CHECK(config->gateway.id == bare.gateway.id);
    CHECK(config->gateway.state_directory == bare.gateway.state_directory);
    CHECK(config->devices[0].driver.controller == bare.devices[0].driver.controller);
    CHECK(config->uplink->endpoints[0].host == bare.uplink->endpoints[0].host);
    CHECK(config->uplink->key == bare.uplink->key);
    CHECK(config->uplink->topic_prefix == bare.uplink->topic_prefix);
    CHECK_FALSE(config->commands.enabled);
  }
  CHECK(good > 10);
}
