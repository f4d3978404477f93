// The desk between twins, configuration and a service that is played by the test.
#include "app/aws_desk.hpp"

#include <set>

#include "app/check_report.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/fake_clock.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::json;

app::Plan plan(const std::string& state, std::size_t twins = 1) {
  app::Plan out;
  out.config.gateway.id = "gw";
  out.config.gateway.state_directory = state;
  out.config.hash = "sha256:1";
  out.config.uplink.emplace();
  out.config.uplink->client_id = "gw";
  out.config.uplink->shadows = uplink::Shadows::all;
  out.config.uplink->jobs = false;
  for (std::size_t i = 0; i < twins; ++i) {
    out.config.twins.emplace_back();
    out.config.twins.back().name = "tank" + std::to_string(i);
    out.models.emplace_back();
  }
  return out;
}

struct AwsDeskRig {
  explicit AwsDeskRig(app::Plan with) : plan(std::move(with)) {
    desk.emplace(plan, clock, events, statistics, requests,
                 app::AwsDesk::Outside{[] {},
                                       [this](std::string topic, std::string payload) {
                                         sent.emplace_back(std::move(topic), json::parse(payload));
                                       }});
  }
  void connect(const std::vector<std::string>& refused = {}) {
    statistics.connected = true;
    desk->connected(refused);
    desk->run();
  }
  void answer(const std::string& topic, json message) { desk->arrived(topic, message.dump(), false); }
  // The newest publication on the topic.
  json last(const std::string& topic) const {
    for (auto at = sent.rbegin(); at != sent.rend(); ++at) {
      if (at->first == topic) return at->second;
    }
    return nullptr;
  }
  static std::string topic(const std::string& shadow, const std::string& end) {
    return "$aws/things/gw/shadow/name/" + shadow + "/" + end;
  }
  void answer_get(const std::string& shadow, const json& state, int version) {
    answer(topic(shadow, "get/accepted"),
           {{"state", state}, {"version", version}, {"clientToken", last(topic(shadow, "get"))["clientToken"]}});
    desk->run();
  }

  test::TemporaryFolder folder;
  support::FakeClock clock{base::Instant{1h}};
  test::CollectedEvents events;
  uplink::Statistics statistics;
  app::ReloadRequests requests;
  app::Plan plan;
  std::vector<std::pair<std::string, json>> sent;
  std::optional<app::AwsDesk> desk;
};

}  // namespace

TEST_CASE("nothing is sent before the connection stands or after it is lost") {
  AwsDeskRig rig(plan("/s"));
  rig.desk->run();
  CHECK(rig.sent.empty());
  rig.connect();
  CHECK(rig.sent.size() == 2);
  rig.statistics.connected = false;
  rig.clock.advance(10min);
  rig.desk->run();
  rig.desk->run();
  CHECK(rig.sent.size() == 2);
}

TEST_CASE("the newest step becomes the twin's shadow") {
  AwsDeskRig rig(plan("/s"));
  CHECK(rig.desk->topics().size() == 9);
  rig.connect();
  rig.answer_get("twin-tank0", {{"reported", {{"old", 1}}}}, 4);
  estimation::TwinStep step(0, 0, 0);
  step.mode = estimation::Mode::tracking;
  rig.desk->note(0, step, {});
  rig.desk->run();
  const json update = rig.last(AwsDeskRig::topic("twin-tank0", "update"));
  REQUIRE(update.is_object());
  CHECK(update["version"] == 4);
  CHECK(update["state"]["reported"]["mode"] == "tracking");
  CHECK(update["state"]["reported"]["old"].is_null());
}

TEST_CASE("a shadow that may not be subscribed to is left alone") {
  AwsDeskRig rig(plan("/s"));
  rig.connect({AwsDeskRig::topic("twin-tank0", "get/rejected")});
  REQUIRE(rig.sent.size() == 1);
  CHECK(rig.sent[0].first == AwsDeskRig::topic("config", "get"));
}

TEST_CASE("only so many twins have a shadow as a connection has topics for") {
  AwsDeskRig rig(plan("/s", 40));
  CHECK(app::twins_with_shadow(rig.plan.config).size() == 11);
  CHECK(rig.desk->topics().size() == 49);
  rig.plan.config.commands.enabled = true;
  rig.plan.config.commands.allow = {"write", "describe"};
  CHECK(app::twins_with_shadow(rig.plan.config).size() == 10);
  rig.plan.config.twins[0].name = std::string(60, 'x');
  CHECK(app::twins_with_shadow(rig.plan.config).front() == 1);
  rig.plan.config.uplink->shadows = uplink::Shadows::off;
  CHECK(app::aws_topics(rig.plan.config).empty());
  CHECK_FALSE(app::AwsDesk::is_wanted(rig.plan.config));
}

TEST_CASE("without shadows there are still jobs and Device Defender") {
  app::Plan with = plan("/s");
  with.config.uplink->shadows = uplink::Shadows::off;
  CHECK_FALSE(app::AwsDesk::is_wanted(with.config));
  with.config.uplink->defender_interval = 5min;
  CHECK(app::AwsDesk::is_wanted(with.config));
  with.config.uplink->defender_interval.reset();
  with.config.uplink->jobs = true;
  CHECK(app::AwsDesk::is_wanted(with.config));
  app::Findings findings(with.config);
  const auto checked = app::check_aws(with, findings);
  REQUIRE(checked.is_object());
  CHECK(checked["shadows"].empty());
  CHECK(checked["jobs"] == true);
  CHECK_FALSE(checked["topics_subscribed"].empty());
  AwsDeskRig rig(std::move(with));
  rig.connect();
  REQUIRE(rig.sent.size() == 1);
  CHECK(rig.sent[0].first == "$aws/things/gw/jobs/$next/get");
}

TEST_CASE("at most four requests wait for their answers and every twin has its turn") {
  AwsDeskRig rig(plan("/s", 8));
  rig.connect();
  for (int i = 0; i < 10; ++i) rig.desk->run();
  CHECK(rig.sent.size() == 4);
  std::set<std::string> asked;
  for (int minute = 0; minute < 60; ++minute) {
    rig.clock.advance(30s);
    rig.desk->run();
    rig.desk->run();
  }
  for (const auto& [topic, payload] : rig.sent) asked.insert(topic);
  CHECK(asked.size() == 9);
}

TEST_CASE("what the shadow config desires becomes a reload with the overlay") {
  AwsDeskRig rig(plan("/s"));
  rig.connect();
  rig.answer_get("config", {{"desired", {{"spool", {{"max_age", "3d"}}}}}}, 12);
  const auto request = rig.requests.take();
  REQUIRE(request);
  CHECK(request->by == "shadow config");
  REQUIRE(request->files.size() == 1);
  CHECK(request->files.begin()->first == "/s/config_overlay.json");
  CHECK(json::parse(request->files.begin()->second) ==
        json::parse(R"({"version":12,"overlay":{"spool":{"max_age":"3d"}}})"));
  rig.desk->run();
  CHECK_FALSE(rig.requests.take());  // once

  app::Plan with = plan("/s");
  with.config.overlay = config::Overlay{"/s/config_overlay.json", R"({"spool":{"max_age":"3d"}})", 12};
  AwsDeskRig after(std::move(with));
  after.connect();
  after.answer_get("config", {{"desired", {{"spool", {{"max_age", "3d"}}}}}}, 14);
  CHECK_FALSE(after.requests.take());
  CHECK(after.last(AwsDeskRig::topic("config", "update"))["state"]["reported"] ==
        json::parse(R"({"spool":{"max_age":"3d"},"config_hash":"sha256:1","config_result":"applied",
                        "config_version":12})"));
}

TEST_CASE("a refused overlay is reported with its faults and not asked for again") {
  AwsDeskRig rig(plan("/s"));
  rig.connect();
  rig.answer_get("config", {{"desired", {{"spool", {{"max_age", "x"}}}}}}, 12);
  const json first = rig.last(AwsDeskRig::topic("config", "update"));
  rig.answer(AwsDeskRig::topic("config", "update/accepted"),
             {{"state", first["state"]}, {"version", 13}, {"clientToken", first["clientToken"]}});
  auto request = rig.requests.take();
  REQUIRE(request);
  rig.requests.settle({std::move(*request), false, {"spool.max_age: x is no duration"}});
  rig.clock.advance(2s);
  rig.desk->run();
  rig.desk->run();
  const json reported = rig.last(AwsDeskRig::topic("config", "update"))["state"]["reported"];
  CHECK(reported["config_result"] == "refused");
  CHECK(reported["config_version"] == 12);
  CHECK(reported["config_error"] == json::array({"spool.max_age: x is no duration"}));
  CHECK_FALSE(reported.contains("spool"));
  CHECK(rig.events.raised.size() == 1);
  CHECK_FALSE(rig.requests.take());
}

TEST_CASE("a desired section that would not fit into the shadow twice is refused") {
  AwsDeskRig rig(plan("/s"));
  rig.connect();
  const json large{{"twins", {{"tank0", {{"model", {{"description", std::string(3500, 'x')}}}}}}}};
  rig.answer_get("config", {{"desired", large}}, 12);
  CHECK_FALSE(rig.requests.take());
  rig.desk->run();
  const json reported = rig.last(AwsDeskRig::topic("config", "update"))["state"]["reported"];
  CHECK(reported["config_result"] == "refused");
  CHECK(reported["config_version"] == 12);
  CHECK(reported["config_error"][0].get<std::string>().find("accepted: at most 3500") != std::string::npos);
  CHECK(rig.events.raised.size() == 1);
  rig.desk->run();
  CHECK(rig.events.raised.size() == 1);
  CHECK_FALSE(rig.requests.take());
}

TEST_CASE("a desired section that is gone takes the overlay with it") {
  app::Plan with = plan("/s");
  with.config.overlay = config::Overlay{"/s/config_overlay.json", R"({"spool":{"max_age":"3d"}})", 12};
  AwsDeskRig rig(std::move(with));
  rig.connect();
  rig.answer_get("config", {{"reported", {{"spool", {{"max_age", "3d"}}}}}}, 15);
  const auto request = rig.requests.take();
  REQUIRE(request);
  CHECK(request->files.begin()->second.empty());
}

TEST_CASE("messages of others and floods of them are survived") {
  AwsDeskRig rig(plan("/s"));
  rig.connect();
  for (int i = 0; i < 10'000; ++i) rig.desk->arrived("$aws/things/gw/shadow/name/config/update/delta", "{", false);
  rig.desk->arrived("twinkeeper/gw/command/write", "{}", false);
  rig.desk->arrived("$aws/events/x", "{}", false);
  rig.desk->run();
  CHECK(rig.sent.size() == 2);
}
