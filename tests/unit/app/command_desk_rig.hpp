// A command desk without a network: the clock is the test's, the poller is played by it.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/command_desk.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/fake_clock.hpp"
#include "support/temporary_folder.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::test {

using namespace std::chrono_literals;
using nlohmann::json;

// A gateway that lets others write a set-point (holding register) and a pump (coil).
inline config::Config commanded_gateway(const std::string& state) {
  config::Config config;
  config.gateway.id = "gw";
  config.gateway.state_directory = state;
  config.uplink.emplace();
  config.uplink->topic_prefix = "twinkeeper/gw";
  config.commands.enabled = true;
  config.commands.allow = {"write"};
  config.commands.per_minute = 50;
  config::DeviceConfig device;
  device.driver.name = "plc";
  device.driver.registers.resize(2);
  device.driver.registers[0].name = "setpoint";
  device.driver.registers[0].kind = drivers::RegisterKind::holding;
  device.driver.registers[0].type = drivers::ValueType::FLOAT32;
  device.driver.registers[1].name = "pump";
  device.driver.registers[1].kind = drivers::RegisterKind::coil;
  device.driver.registers[1].type = drivers::ValueType::BIT;
  drivers::WritableSettings setpoint;
  setpoint.reg = 0;
  setpoint.min_value = 0.5;
  setpoint.max_value = 2;
  setpoint.per_minute = 40;
  drivers::WritableSettings pump;
  pump.reg = 1;
  pump.per_minute = 2;
  device.driver.writable = {setpoint, pump};
  config.devices.push_back(std::move(device));
  return config;
}

// A desk with one connection, whose orders the test takes.
struct CommandDeskRig {
  explicit CommandDeskRig(const std::function<void(config::Config&)>& change = {}) {
    if (change) change(config);
    begin();
  }
  // Another start of the service.
  void begin() {
    desk.reset();
    orders.emplace(plan, clock, events, reloads, [] {});
    orders->on_describe([this] { ++described; });
    orders->connect(alarms);
    desk.emplace(
        config, clock, events, *orders, [this] { ++woken; },
        [this](signals::Message message) { answers.push_back(json::parse("{" + message.members + "}")); });
    desk->connect(config.devices[0].driver, queue, 7);
  }

  json command(const std::string& tag, const json& value) {
    const base::WallTime now = clock.wall_now();
    return {{"schema", "twinkeeper.command/1"},
            {"correlation_id", "c" + std::to_string(++asked)},
            {"issued_at", base::format_rfc3339(now)},
            {"expires_at", base::format_rfc3339(now + 30s)},
            {"by", "test"},
            {"arguments", {{"tag", tag}, {"value", value}}}};
  }
  void give(const json& command, bool retained = false, const std::string& verb = "write") {
    desk->arrived("twinkeeper/gw/command/" + verb, command.dump(), retained);
    desk->run();
  }
  // Why the command was refused; "" if it became an order.
  std::string refusal(const json& command, bool retained = false, const std::string& verb = "write") {
    const std::size_t before = answers.size();
    give(command, retained, verb);
    if (answers.size() == before) {
      REQUIRE(queue.take());
      return "";
    }
    CHECK(answers.back()["result"] == "refused");
    CHECK_FALSE(queue.take());
    return answers.back()["reason"].get<std::string>();
  }
  // A command without arguments; its correlation id.
  std::string plain(const std::string& verb) {
    json given = command("", 0);
    given["arguments"] = json::object();
    give(given, false, verb);
    return given["correlation_id"].get<std::string>();
  }
  json at(base::Duration issued, base::Duration expires) {
    json changed = command("plc.setpoint", 1);
    changed["issued_at"] = base::format_rfc3339(clock.wall_now() + issued);
    changed["expires_at"] = base::format_rfc3339(clock.wall_now() + expires);
    return changed;
  }
  std::vector<json> trail() const {
    std::ifstream file(folder.file("commands.log"));
    std::vector<json> read;
    for (std::string line; std::getline(file, line);) read.push_back(json::parse(line));
    return read;
  }

  TemporaryFolder folder;
  support::FakeClock clock{base::Instant{1h}};
  CollectedEvents events;
  app::Plan plan{commanded_gateway(folder.path()), {}};
  config::Config& config = plan.config;
  app::OrderQueue alarms;
  int described = 0;
  drivers::WriteQueue queue{[] {}, [] {}};
  int woken = 0;
  int asked = 0;
  std::vector<json> answers;
  app::ReloadRequests reloads;
  std::optional<app::OrderDesk> orders;
  std::optional<app::CommandDesk> desk;
};

}  // namespace twinkeeper::test
