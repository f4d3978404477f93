// The control socket: real sockets, the spool thread played by the test.
#include "app/control_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/control_client.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/eventually.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::json;

constexpr base::Duration kSoon = 20s;

app::Plan plan_at(const std::string& folder) {
  app::Plan plan;
  plan.config.gateway.id = "gw";
  plan.config.gateway.state_directory = folder;
  plan.config.gateway.control_socket = folder + "/control";
  plan.config.spool.directory = folder;
  config::DeviceConfig device;
  device.driver.name = "plc";
  device.driver.registers.resize(2);
  device.driver.registers[0].name = "level";
  device.driver.registers[0].unit = "m";
  device.driver.registers[1].name = "pump";
  plan.config.devices.push_back(std::move(device));
  return plan;
}

// A server whose orders are carried out by a thread of the test.
struct ControlServerRig {
  ControlServerRig() {
    orders.on_describe([] {});
    orders.on_purge([this](const uplink::PurgeFilter& filter) -> base::Result<uplink::Purged> {
      purges.push_back(filter);
      if (broken) return base::Error(base::ErrorCode::io, "the disk is gone");
      uplink::Purged purged{10, filter.dead ? 3U : 0U, {}};
      if (filter.after < 20) purged.ended_at = filter.after + 10;
      return purged;
    });
    orders.on_log_level([](const std::string& level, base::Duration length) {
      return R"("level":")" + (level.empty() ? "info" : level) + R"(","seconds":)" + std::to_string(length / 1s);
    });
    server.emplace(plan, orders, tap, base::Instant{}, clock, events);
    control = std::jthread([this](const std::stop_token& stop) { server->run(stop, heartbeat); });
    spool = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        bell.wait_for(100ms);
        orders.take_outcomes();
        orders.run();
      }
    });
  }
  app::ControlClient connect() { return app::ControlClient::connect(plan.config.gateway.control_socket).value(); }
  static json answer(app::ControlClient& client) { return json::parse(client.line(kSoon).value()); }

  test::TemporaryFolder folder;
  app::Plan plan = plan_at(folder.path());
  base::SystemClock clock;
  test::CollectedEvents events;
  base::WakeUp bell;
  std::vector<uplink::PurgeFilter> purges;  // the spool thread's until it has answered
  std::atomic<bool> broken = false;
  app::ReloadRequests reloads;
  app::OrderDesk orders{plan, clock, events, reloads, [this] { bell.ring(); }};
  app::SampleTap tap;
  app::Heartbeat heartbeat{"control", 1s, clock.now()};
  std::optional<app::ControlServer> server;
  std::jthread control, spool;
};

void send(const app::SocketDescriptor& socket, const std::string& text) {
  static_cast<void>(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL));
}

// All that comes until the other side hangs up.
std::string rest_of(const app::SocketDescriptor& socket) {
  std::string all;
  char piece[4096];
  for (ssize_t read = 0; (read = ::recv(socket.get(), piece, sizeof piece, 0)) > 0;) {
    all.append(piece, static_cast<std::size_t>(read));
  }
  return all;
}

}  // namespace

TEST_CASE("a question is answered, one after the other, and what changes something is recorded with the user") {
  ControlServerRig rig;
  auto client = rig.connect();
  REQUIRE(client.ask("alarms", "{}").ok());
  const json list = ControlServerRig::answer(client);
  CHECK(list["schema"] == "twinkeeper.control/1");
  CHECK(list["result"] == "done");
  CHECK(list["alarms"].empty());
  REQUIRE(client.ask("describe", "{}").ok());
  REQUIRE(client.ask("maintenance", R"({"name":"nobody","duration":"1h"})").ok());
  CHECK(ControlServerRig::answer(client)["verb"] == "describe");
  CHECK(ControlServerRig::answer(client)["reason"] == "there is no twin or device nobody");
  std::ifstream trail(rig.folder.file("commands.log"));
  std::vector<json> lines;
  for (std::string line; std::getline(trail, line);) lines.push_back(json::parse(line));
  REQUIRE(lines.size() == 2);
  CHECK(lines[1]["verb"] == "maintenance");
  CHECK(lines[1]["by"] == app::peer_name(app::connect_to(rig.plan.config.gateway.control_socket).value().get()));
  struct stat status {};
  REQUIRE(::stat(rig.plan.config.gateway.control_socket.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0660);
}

TEST_CASE("the level of the log is told to whoever asks, and recorded when it is set") {
  ControlServerRig rig;
  auto client = rig.connect();
  REQUIRE(client.ask("log-level", "{}").ok());
  CHECK(ControlServerRig::answer(client)["level"] == "info");
  CHECK(::access((rig.folder.file("commands.log")).c_str(), F_OK) != 0);
  REQUIRE(client.ask("log-level", R"({"level":"debug","duration":"10min"})").ok());
  const json answer = ControlServerRig::answer(client);
  CHECK(answer["result"] == "done");
  CHECK(answer["level"] == "debug");
  CHECK(answer["seconds"] == 600);
  CHECK(::access((rig.folder.file("commands.log")).c_str(), F_OK) == 0);
  REQUIRE(client.ask("log-level", R"({"level":"loud"})").ok());
  CHECK(ControlServerRig::answer(client)["result"] == "refused");
}

TEST_CASE("what is no request ends the connection with the reason") {
  ControlServerRig rig;
  const auto said = [&](const std::string& text) {
    const auto socket = app::connect_to(rig.plan.config.gateway.control_socket).value();
    send(socket, text);
    return rest_of(socket);
  };
  CHECK(said("rubbish\n").find("malformed: no JSON object") != std::string::npos);
  CHECK(said("{}\n").find("malformed: schema") != std::string::npos);
  CHECK(said(std::string(200'000, 'x')).find("larger than 64 KiB") != std::string::npos);
  auto client = rig.connect();
  REQUIRE(client.ask("write", R"({"tag":"plc.level","value":1})").ok());
  CHECK(ControlServerRig::answer(client)["reason"] == "malformed: unknown verb write");
}

TEST_CASE("eight clients are served, a ninth is told, and there is room again when one has gone") {
  ControlServerRig rig;
  std::vector<app::ControlClient> clients;
  for (int k = 0; k < 8; ++k) {
    clients.push_back(rig.connect());
    REQUIRE(clients.back().ask("alarms", "{}").ok());
    CHECK(ControlServerRig::answer(clients.back())["result"] == "done");
  }
  auto ninth = rig.connect();
  CHECK(ControlServerRig::answer(ninth)["reason"] == "too many clients");
  clients.pop_back();
  json answer;
  for (int tries = 0; tries < 1000 && answer["result"] != "done"; ++tries) {
    auto next = rig.connect();
    static_cast<void>(next.ask("alarms", "{}"));
    const auto line = next.line(kSoon);
    if (line.ok()) answer = json::parse(line.value());
  }
  CHECK(answer["result"] == "done");
}

TEST_CASE("a purge is done piece by piece and answered once with all that went") {
  ControlServerRig rig;
  auto client = rig.connect();
  REQUIRE(client.ask("purge", R"({"all":true})").ok());
  const json all = ControlServerRig::answer(client);
  CHECK(all["result"] == "done");
  CHECK(all["subject"] == "all");
  CHECK(all["messages"] == 30);
  CHECK(all["dead"] == 9);
  REQUIRE(rig.purges.size() == 3);
  CHECK(rig.purges[2].after == 20);
  CHECK(rig.purges[0].messages);
  CHECK_FALSE(rig.purges[0].stream);
  REQUIRE(client.ask("purge", R"({"stream":"a.b","dead":true})").ok());
  CHECK(ControlServerRig::answer(client)["subject"] == "a.b, what was set aside");
  CHECK(rig.purges[3].stream == "a.b");
  CHECK_FALSE(rig.purges[3].messages);
  CHECK(rig.purges[3].dead);
  rig.broken = true;
  REQUIRE(client.ask("purge", R"({"stream":"a.b"})").ok());
  const json failed = ControlServerRig::answer(client);
  CHECK(failed["result"] == "failed");
  CHECK(failed["reason"] == "the disk is gone");
  REQUIRE(client.ask("purge", R"({"stream":"a.b","spool":"/nowhere"})").ok());
  CHECK(ControlServerRig::answer(client)["reason"] == "the spool of this service is in " + rig.folder.path());
}

TEST_CASE("a reload is answered on its connection, also by the gateway that comes after it") {
  ControlServerRig rig;
  std::optional<app::ReloadRequest> request;
  const auto ask = [&] {
    auto client = rig.connect();
    REQUIRE(client.ask("reload", "{}").ok());
    CHECK(ControlServerRig::answer(client)["result"] == "accepted");
    REQUIRE(test::eventually(kSoon, [&] { return (request = rig.reloads.take()).has_value(); }));
    CHECK(request->by == "the control socket");
    return client;
  };
  auto wrong = ask();
  auto another = rig.connect();
  REQUIRE(another.ask("reload", "{}").ok());
  CHECK(ControlServerRig::answer(another)["reason"] == "a reload is asked for already");
  CHECK_FALSE(another.line(kSoon).ok());  // hung up
  rig.reloads.settle({std::move(*request), false, {"a.yaml:1:1: a", "a.yaml:2:1: b"}, "it has 2 fault(s)", 78});
  const json failed = ControlServerRig::answer(wrong);
  CHECK(failed["result"] == "failed");
  CHECK(failed["reason"] == "it has 2 fault(s): a.yaml:1:1: a");
  CHECK(failed["faults"] == json::array({"a.yaml:1:1: a", "a.yaml:2:1: b"}));
  CHECK(failed["exit_code"] == 78);
  CHECK_FALSE(wrong.line(kSoon).ok());

  auto right = ask();
  rig.control = {};
  rig.spool = {};
  rig.server.reset();
  rig.reloads.settle({std::move(*request), true});
  app::OrderDesk next(rig.plan, rig.clock, rig.events, rig.reloads, [] {});
  next.run();
  const json done = ControlServerRig::answer(right);
  CHECK(done["result"] == "done");
  CHECK(done["faults"].empty());
  std::ifstream trail(rig.folder.file("commands.log"));
  std::vector<std::string> results;
  for (std::string line; std::getline(trail, line);) {
    results.push_back(json::parse(line)["result"].get<std::string>());
  }
  CHECK(results == std::vector<std::string>{"accepted", "refused", "failed", "accepted", "done"});
}

TEST_CASE("samples go to whoever records, and nowhere while nobody does") {
  ControlServerRig rig;
  signals::Sample sample;
  sample.quality = signals::Quality::good;
  sample.value = 1.5;
  rig.tap.push(sample);
  app::TappedSample nothing;
  CHECK_FALSE(rig.tap.try_take(nothing));
  auto client = rig.connect();
  REQUIRE(client.ask("record", "{}").ok());
  const json begun = ControlServerRig::answer(client);
  CHECK(begun["result"] == "accepted");
  CHECK(begun["tags"][0]["name"] == "plc.level");
  CHECK(begun["tags"][0]["unit"] == "m");
  // The tap opens with the turn in which the request came.
  std::string line;
  for (int k = 0; k < 1000 && line.empty(); ++k) {
    sample.time = base::Instant{base::Duration{k}};
    sample.tag = 1;
    rig.tap.push(sample);
    if (auto more = client.line(20ms); more.ok()) line = more.value();
  }
  const json samples = json::parse(line);
  CHECK(samples["samples"][0][0] == 1);
  CHECK(samples["samples"][0][2] == 1.5);
  CHECK(samples["lost"] == 0);
}

TEST_CASE("a client that takes nothing does not hold the others, and its loss is counted") {
  ControlServerRig rig;
  auto lazy = rig.connect();
  REQUIRE(lazy.ask("record", "{}").ok());
  const json begun = ControlServerRig::answer(lazy);
  auto busy = rig.connect();
  signals::Sample sample;
  sample.quality = signals::Quality::good;
  sample.value = 1.0 / 3.0;
  for (int round = 0; round < 40; ++round) {
    for (int k = 0; k < 8000; ++k) rig.tap.push(sample);
    REQUIRE(busy.ask("alarms", "{}").ok());
    CHECK(ControlServerRig::answer(busy)["result"] == "done");
  }
  std::uint64_t lost = 0;
  for (int k = 0; k < 200 && lost == 0; ++k) {
    rig.tap.push(sample);
    const auto line = lazy.line(kSoon);
    REQUIRE(line.ok());
    lost = json::parse(line.value())["lost"].get<std::uint64_t>();
  }
  CHECK(lost > 0);
}

TEST_CASE("a socket of the dead is replaced, one of the living and what is no socket are left alone") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("control");
  {
    auto first = app::listen_at(path);
    REQUIRE(first.ok());
    const auto second = app::listen_at(path);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code() == base::ErrorCode::full);
    CHECK(app::connect_to(path).ok());
  }
  CHECK(app::connect_to(path).error().code() == base::ErrorCode::unavailable);
  CHECK(app::listen_at(path).ok());
  std::filesystem::remove(path);
  std::ofstream(path) << "a file";
  CHECK(app::listen_at(path).error().code() == base::ErrorCode::io);
  CHECK(std::filesystem::file_size(path) == 6);
  CHECK(app::listen_at(folder.file("nowhere/control")).error().code() == base::ErrorCode::not_found);
  CHECK(app::listen_at("/tmp/" + std::string(200, 'x')).error().code() == base::ErrorCode::invalid_argument);
}

TEST_CASE("without a folder for the socket the service is told and runs on") {
  const test::TemporaryFolder folder;
  app::Plan plan = plan_at(folder.path());
  plan.config.gateway.control_socket = folder.file("nowhere/control");
  const base::SystemClock clock;
  test::CollectedEvents events;
  app::ReloadRequests reloads;
  app::OrderDesk orders(plan, clock, events, reloads, [] {});
  app::SampleTap tap;
  const app::ControlServer server(plan, orders, tap, base::Instant{}, clock, events);
  CHECK_FALSE(server.listens());
  REQUIRE(events.raised.size() == 1);
  CHECK(events.raised[0].level == signals::EventLevel::info);
}
