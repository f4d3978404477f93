// The list of alarms, and what operators have said across a restart.
#include "app/alarm_list.hpp"

#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/fake_clock.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using diagnosis::AnomalyEvent;
using diagnosis::AnomalyEventKind;
using diagnosis::AnomalyState;
using nlohmann::json;

struct AlarmListRig {
  AnomalyEvent event(const std::string& id, AnomalyEventKind kind, AnomalyState state, int severity = 500) const {
    AnomalyEvent made;
    made.id = id;
    made.event = kind;
    made.state = state;
    made.severity = severity;
    made.raised_at = made.time = clock.now();
    made.message = id + " is odd.";
    if (kind != AnomalyEventKind::raised) made.by = "ann";
    if (state == AnomalyState::shelved) made.shelved_until = clock.now() + 1h;
    if (kind == AnomalyEventKind::cleared) made.cleared_at = clock.now();
    return made;
  }
  app::AlarmList list() { return {folder.file("alarms.json"), clock, events}; }
  static json members(const app::AlarmList& list) { return json::parse("{" + list.members() + "}"); }

  test::TemporaryFolder folder;
  support::FakeClock clock{base::Instant{1h}};
  test::CollectedEvents events;
};

}  // namespace

TEST_CASE("the list has what stands or is shelved, the worst first") {
  AlarmListRig rig;
  auto list = rig.list();
  list.observe(rig.event("a", AnomalyEventKind::raised, AnomalyState::active));
  list.observe(rig.event("b", AnomalyEventKind::raised, AnomalyState::active, 900));
  list.observe(rig.event("c", AnomalyEventKind::raised, AnomalyState::active));
  list.observe(rig.event("c", AnomalyEventKind::cleared, AnomalyState::returned));
  list.observe(rig.event("a", AnomalyEventKind::shelved, AnomalyState::shelved));
  json alarms = AlarmListRig::members(list)["alarms"];
  REQUIRE(alarms.size() == 2);
  CHECK(alarms[0]["anomaly"] == "b");
  CHECK(alarms[0]["priority"] == "critical");
  CHECK(alarms[0]["until"].is_null());
  CHECK(alarms[1]["anomaly"] == "a");
  CHECK(alarms[1]["state"] == "shelved");
  CHECK(alarms[1]["by"] == "ann");
  CHECK(alarms[1]["until"].is_string());
  list.observe(rig.event("a", AnomalyEventKind::cleared, AnomalyState::returned));
  CHECK(AlarmListRig::members(list)["alarms"][1]["standing"] == false);
  AnomalyEvent off = rig.event("a", AnomalyEventKind::unshelved, AnomalyState::returned);
  off.cleared_at = rig.clock.now();
  list.observe(off);
  CHECK(AlarmListRig::members(list)["alarms"].size() == 1);
}

TEST_CASE("what operators have said outlives a restart, for as long as it holds") {
  AlarmListRig rig;
  {
    auto list = rig.list();
    list.observe(rig.event("a", AnomalyEventKind::raised, AnomalyState::active));
    list.observe(rig.event("a", AnomalyEventKind::acknowledged, AnomalyState::acknowledged));
    list.observe(rig.event("b", AnomalyEventKind::raised, AnomalyState::active));
    list.observe(rig.event("b", AnomalyEventKind::shelved, AnomalyState::shelved));
    list.observe(rig.event("c", AnomalyEventKind::raised, AnomalyState::active));
    list.observe(rig.event("c", AnomalyEventKind::acknowledged, AnomalyState::acknowledged));
    list.observe(rig.event("c", AnomalyEventKind::cleared, AnomalyState::returned));
    list.maintain("plc", {"bob", "new pump", rig.clock.now() + 2h});
  }
  rig.clock.advance(30min);
  {
    const auto list = rig.list();
    const app::OperatorWords& words = list.words();
    REQUIRE(words.acknowledged.size() == 1);
    CHECK(words.acknowledged.at("a").occurrence == 1);
    CHECK(words.acknowledged.at("a").word.by == "ann");
    CHECK(words.acknowledged.at("a").word.until == rig.clock.now() + app::kAcknowledgedAnew);
    REQUIRE(words.shelved.size() == 1);
    const auto left = words.shelved.at("b").until - rig.clock.now();
    CHECK(left <= 30min);
    CHECK(left > 30min - 2ms);
    CHECK(words.maintenance.at("plc").comment == "new pump");
    CHECK(AlarmListRig::members(list)["shelved"][0]["name"] == "b");
    CHECK(AlarmListRig::members(list)["maintenance"][0]["by"] == "bob");
  }
  rig.clock.step_wall_clock(-1000h);  // a clock that has lost its battery
  CHECK(rig.list().words().shelved.at("b").until <= rig.clock.now() + app::kLongestShelving);
  rig.clock.step_wall_clock(1000h);
  rig.clock.advance(3h);
  CHECK(rig.list().words().shelved.empty());
  CHECK(rig.list().words().maintenance.empty());
  CHECK(rig.events.raised.empty());
}

TEST_CASE("an acknowledgement whose alarm is not back soon after the start is forgotten") {
  AlarmListRig rig;
  {
    auto list = rig.list();
    for (const char* id : {"a", "b"}) {
      list.observe(rig.event(id, AnomalyEventKind::raised, AnomalyState::active));
      list.observe(rig.event(id, AnomalyEventKind::acknowledged, AnomalyState::acknowledged));
    }
    list.run();
  }
  {
    auto list = rig.list();
    list.observe(rig.event("a", AnomalyEventKind::raised, AnomalyState::acknowledged));
    rig.clock.advance(app::kAcknowledgedAnew - 1s);
    list.run();
    CHECK(rig.list().words().acknowledged.size() == 2);
    rig.clock.advance(1s);
    list.run();
    CHECK(list.words().acknowledged.count("b") == 0);
  }
  const auto words = rig.list().words();
  REQUIRE(words.acknowledged.size() == 1);
  CHECK(words.acknowledged.count("a") == 1);
}

TEST_CASE("a damaged file of operators' words is told, and the service goes on") {
  AlarmListRig rig;
  std::ofstream(rig.folder.file("alarms.json")) << R"({"schema": "twinkeeper.operator_words/1", "shelved": [)";
  auto list = rig.list();
  REQUIRE(rig.events.raised.size() == 1);
  CHECK(rig.events.raised[0].code == "words_damaged");
  list.maintain("plc", {"bob", "", rig.clock.now() + 2h});
  CHECK(rig.list().words().maintenance.size() == 1);
  CHECK(std::ifstream(rig.folder.file("alarms.json.damaged")).good());
}

TEST_CASE("operators' words of another version are kept aside, whatever is written then") {
  AlarmListRig rig;
  const std::string words = R"({"schema": "twinkeeper.operator_words/2", "shelves": {}})";
  std::ofstream(rig.folder.file("alarms.json")) << words;
  auto list = rig.list();
  REQUIRE(rig.events.raised.size() == 1);
  CHECK(rig.events.raised[0].code == "words_of_other_version");
  list.maintain("plc", {"bob", "", rig.clock.now() + 2h});
  CHECK(rig.list().words().maintenance.size() == 1);
  std::string kept;
  std::getline(std::ifstream(rig.folder.file("alarms.json.other_version")), kept);
  CHECK(kept == words);
}
