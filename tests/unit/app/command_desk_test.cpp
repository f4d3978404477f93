// What is decided on commands.
#include "app/command_desk.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "unit/app/command_desk_rig.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::json;

using test::CommandDeskRig;

}  // namespace

TEST_CASE("a command becomes an order, and its outcome an answer and a line of the trail") {
  CommandDeskRig rig;
  rig.give(rig.command("plc.setpoint", 1.25));
  CHECK(rig.woken == 1);
  CHECK(rig.answers.empty());
  const auto order = rig.queue.take();
  REQUIRE(order);
  CHECK(order->device == 7);
  CHECK(order->writable == 0);
  CHECK(order->value == 1.25);
  CHECK(order->valid_until == rig.clock.now() + 30s);
  drivers::WriteOutcome outcome;
  outcome.number = order->number;
  outcome.done = true;
  outcome.before = 1;
  outcome.after = 1.25;
  rig.queue.settle(outcome);
  rig.desk->run();
  REQUIRE(rig.answers.size() == 1);
  const json answer = rig.answers[0];
  CHECK(answer["correlation_id"] == "c1");
  CHECK(answer["result"] == "done");
  CHECK(answer["reason"].is_null());
  CHECK(answer["before"] == 1);
  CHECK(answer["after"] == 1.25);
  const auto trail = rig.trail();
  REQUIRE(trail.size() == 1);
  for (const auto& [name, value] : answer.items()) CHECK(trail[0][name] == value);
  REQUIRE(rig.events.raised.size() == 1);
  CHECK(rig.events.raised[0].level == signals::EventLevel::info);
  CHECK(rig.events.raised[0].code == "command_done");
}

TEST_CASE("an order lives no longer than its command, and no longer than max_age") {
  CommandDeskRig rig;
  rig.give(rig.at(0s, 10s));
  CHECK(rig.queue.take()->valid_until == rig.clock.now() + 10s);
  rig.give(rig.at(0s, 24h));
  CHECK(rig.queue.take()->valid_until == rig.clock.now() + 60s);
}

TEST_CASE("while the clock is not synchronised every command is refused, unless the configuration trusts it") {
  CommandDeskRig careful;
  careful.clock.set_synchronised(false);
  CHECK(careful.refusal(careful.command("plc.setpoint", 1)) == "the clock of the gateway is not synchronised");
  CommandDeskRig trusting([](config::Config& config) { config.commands.require_synchronised_clock = false; });
  trusting.clock.set_synchronised(false);
  CHECK(trusting.refusal(trusting.command("plc.setpoint", 1)).empty());
}

TEST_CASE("retained commands and verbs that are not allowed are refused") {
  CommandDeskRig rig;
  CHECK(rig.refusal(rig.command("plc.setpoint", 1), true) == "retained");
  CHECK(rig.refusal(rig.command("plc.setpoint", 1), false, "reboot") == "malformed: unknown verb reboot");
  json describe = rig.command("", 0);
  describe["arguments"] = json::object();
  CHECK(rig.refusal(describe, false, "describe") == "not allowed: describe");
  CommandDeskRig none([](config::Config& config) { config.commands.allow.clear(); });
  CHECK(none.refusal(none.command("plc.setpoint", 1)) == "not allowed: write");
}

TEST_CASE("commands have their time") {
  CommandDeskRig rig;
  CHECK(rig.refusal(rig.at(-1s, 30s)) == "issued before this start of the service");
  rig.clock.advance(10min);
  CHECK(rig.refusal(rig.at(-61s, 30s)) == "older than 1min");
  CHECK(rig.refusal(rig.at(-60s, 30s)).empty());
  CHECK(rig.refusal(rig.at(-10s, 0s)) == "expired");
  CHECK(rig.refusal(rig.at(-10s, 1ms)).empty());
  CHECK(rig.refusal(rig.at(6s, 30s)) == "issued in the future");
  CHECK(rig.refusal(rig.at(5s, 30s)).empty());
}

TEST_CASE("a clock that is set after the start does not let older commands in") {
  CommandDeskRig rig;
  rig.clock.advance(5s);
  rig.clock.step_wall_clock(24h);  // the start was a day later than it seemed
  CHECK(rig.refusal(rig.at(-6s, 30s)) == "issued before this start of the service");
  CHECK(rig.refusal(rig.at(-4s, 30s)).empty());
}

TEST_CASE("a command is obeyed once for as long as it could be obeyed at all") {
  CommandDeskRig rig;
  rig.clock.advance(10min);
  // Issued as far in the future as is allowed, so that it lives longest.
  const json command = rig.at(5s, 24h);
  CHECK(rig.refusal(command).empty());
  for (int second = 0; second < 80; ++second) {
    rig.clock.advance(1s);
    const std::string reason = rig.refusal(command);
    CAPTURE(second, reason);
    CHECK((reason == "repeated" || reason == "older than 1min"));
  }
}

TEST_CASE("a refused command does not become one that is obeyed when it is repeated") {
  CommandDeskRig rig;
  const json command = rig.command("plc.setpoint", 5);
  CHECK(rig.refusal(command) == "outside of min_value and max_value");
  CHECK(rig.refusal(command) == "repeated");
}

TEST_CASE("after a restart no command is obeyed a second time, and one that waited meanwhile is") {
  CommandDeskRig rig;
  rig.clock.advance(10s);
  const json obeyed = rig.command("plc.setpoint", 1);
  CHECK(rig.refusal(obeyed).empty());
  const json waited = rig.command("plc.setpoint", 1);
  rig.clock.advance(5s);
  rig.begin();
  CHECK(rig.refusal(obeyed) == "repeated");
  CHECK(rig.refusal(waited).empty());
  rig.clock.advance(5s);
  rig.begin();
  CHECK(rig.refusal(waited) == "repeated");
  // Once nobody knows what was before, what is older than the start is refused.
  std::ofstream(rig.folder.file("commands.seen")) << "rubbish";
  rig.clock.advance(1s);
  const json later = rig.command("plc.setpoint", 1);
  rig.clock.advance(1s);
  rig.begin();
  CHECK(rig.refusal(obeyed) == "issued before this start of the service");
  CHECK(rig.refusal(later) == "issued before this start of the service");
  CHECK(rig.refusal(rig.command("plc.setpoint", 1)).empty());
}

TEST_CASE("a write that can't be remembered on disk is refused, what does no harm twice is not") {
  CommandDeskRig rig([](config::Config& config) { config.commands.allow = {"write", "describe"}; });
  CHECK(rig.refusal(rig.command("plc.setpoint", 1)).empty());
  const std::string file = rig.folder.file("commands.seen");
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  const json lost = rig.command("plc.setpoint", 1);
  CHECK(rig.refusal(lost) == "can't be remembered on disk");
  CHECK(rig.refusal(rig.command("plc.setpoint", 1)) == "can't be remembered on disk");
  json describe = rig.command("", 0);
  describe["arguments"] = json::object();
  rig.give(describe, false, "describe");
  CHECK(rig.answers.back()["result"] == "done");
  CHECK(std::count_if(rig.events.raised.begin(), rig.events.raised.end(),
                      [](const auto& event) { return event.code == "replay_window_failed"; }) == 1);
  std::filesystem::remove(file);
  CHECK(rig.refusal(rig.command("plc.setpoint", 1)).empty());
  CHECK(rig.refusal(lost) == "repeated");
}

TEST_CASE("what arrives as the service stops is answered, whichever desk has it") {
  CommandDeskRig rig([](config::Config& config) { config.commands.allow = {"write", "shelve"}; });
  json shelve = rig.command("", 0);
  shelve["arguments"] = {{"anomaly", "plc.connection"}, {"duration", "1h"}, {"comment", "known"}};
  rig.desk->arrived("twinkeeper/gw/command/shelve", shelve.dump(), false);
  rig.desk->arrived("twinkeeper/gw/command/write", rig.command("plc.setpoint", 1).dump(), false);
  rig.desk->stop();
  rig.orders->stop();
  REQUIRE(rig.answers.size() == 2);
  for (const json& answer : rig.answers) CHECK(answer["result"] == "failed");
  CHECK(rig.trail().size() == 2);
}

TEST_CASE("lines of the trail are numbered without a gap across restarts") {
  CommandDeskRig rig;
  for (int run = 0; run < 3; ++run) {
    for (int k = 0; k < 3; ++k) rig.refusal(rig.command("plc.other", 1));
    rig.begin();
  }
  const auto trail = rig.trail();
  REQUIRE(trail.size() == 9);
  for (std::size_t k = 0; k < trail.size(); ++k) CHECK(trail[k]["number"] == k + 1);
}

TEST_CASE("orders about alarms go to who has them, and their outcome is answered") {
  CommandDeskRig rig([](config::Config& config) { config.commands.allow = {"shelve", "describe", "maintenance"}; });
  json shelve = rig.command("", 0);
  shelve["arguments"] = {{"anomaly", "plc.connection"}, {"duration", "1h"}, {"comment", "known"}};
  rig.give(shelve, false, "shelve");
  CHECK(rig.answers.empty());
  app::Order order;
  REQUIRE(rig.alarms.take(order));
  CHECK(order.kind == app::Order::Kind::shelve);
  CHECK(order.subject == "plc.connection");
  CHECK(order.word.by == "test");
  CHECK(order.word.comment == "known");
  CHECK(order.word.until == rig.clock.now() + 1h);
  rig.alarms.settle({order.number, "", {}});
  rig.orders->take_outcomes();
  rig.orders->run();
  REQUIRE(rig.answers.size() == 1);
  CHECK(rig.answers[0]["result"] == "done");
  CHECK(rig.answers[0]["subject"] == "plc.connection");
  CHECK(rig.trail().back()["duration"] == "1h");

  shelve["correlation_id"] = "nobody";
  rig.give(shelve, false, "shelve");
  REQUIRE(rig.alarms.take(order));
  rig.alarms.settle({order.number, std::nullopt, {}});
  rig.orders->take_outcomes();
  rig.orders->run();
  CHECK(rig.answers.back()["result"] == "refused");
  CHECK(rig.answers.back()["reason"] == "there is no alarm plc.connection");

  shelve["correlation_id"] = "late";
  rig.give(shelve, false, "shelve");
  REQUIRE(rig.alarms.take(order));
  rig.clock.advance(app::kOrderPatience);
  rig.orders->run();
  CHECK(rig.answers.back()["result"] == "failed");

  json maintenance = rig.command("", 0);
  maintenance["arguments"] = {{"name", "nobody"}, {"duration", "1h"}};
  rig.give(maintenance, false, "maintenance");
  CHECK(rig.answers.back()["reason"] == "there is no twin or device nobody");

  rig.plain("describe");
  CHECK(rig.answers.back()["result"] == "done");
  CHECK(rig.described == 1);
}

TEST_CASE("a reload is answered once it is accepted, and again by the gateway that comes after it") {
  CommandDeskRig rig([](config::Config& config) { config.commands.allow = {"reload"}; });
  const std::string id = rig.plain("reload");
  CHECK(rig.answers.back()["result"] == "accepted");
  auto request = rig.reloads.take();
  REQUIRE(request);
  CHECK(request->by == "a command");
  rig.plain("reload");
  CHECK(rig.answers.back()["reason"] == "a reload is asked for already");
  rig.reloads.settle({std::move(*request), true});
  rig.begin();
  rig.desk->run();
  CHECK(rig.answers.back()["correlation_id"] == id);
  CHECK(rig.answers.back()["result"] == "done");
  CHECK(rig.answers.back()["reason"].is_null());
  CHECK(rig.trail().size() == 3);

  const std::string next = rig.plain("reload");
  CHECK(rig.answers.back()["result"] == "accepted");
  rig.reloads.settle({*rig.reloads.take(), false, {"a.yaml:1:1: a", "a.yaml:2:1: b"}, "the new one has 2 fault(s)"});
  rig.desk->run();
  CHECK(rig.answers.back()["correlation_id"] == next);
  CHECK(rig.answers.back()["reason"] == "the new one has 2 fault(s): a.yaml:1:1: a");
}

TEST_CASE("an accepted reload has its second answer also if another reload or the stop of the service comes first") {
  CommandDeskRig rig([](config::Config& config) { config.commands.allow = {"reload"}; });
  const std::string id = rig.plain("reload");
  rig.desk->stop();
  rig.orders->stop();
  rig.begin();  // of the other reload
  rig.desk->run();
  CHECK(rig.answers.size() == 1);
  rig.reloads.settle({rig.reloads.take().value(), true});
  rig.begin();
  rig.desk->run();
  REQUIRE(rig.answers.size() == 2);
  CHECK(rig.answers[1]["correlation_id"] == id);
  CHECK(rig.answers[1]["result"] == "done");

  // One that waits as the service stops, and one that arrives even later.
  rig.plain("reload");
  rig.reloads.end();
  rig.desk->run();
  rig.plain("reload");
  REQUIRE(rig.answers.size() == 6);
  for (const std::size_t last : {3U, 5U}) {
    CHECK(rig.answers[last]["correlation_id"] == rig.answers[last - 1]["correlation_id"]);
    CHECK(rig.answers[last]["reason"] == "the service stopped before");
  }
}

TEST_CASE("limits include their ends, coils take true and false") {
  CommandDeskRig rig;
  CHECK(rig.refusal(rig.command("plc.setpoint", 0.5)).empty());
  CHECK(rig.refusal(rig.command("plc.setpoint", 2)).empty());
  CHECK(rig.refusal(rig.command("plc.setpoint", 0.4999)) == "outside of min_value and max_value");
  CHECK(rig.refusal(rig.command("plc.setpoint", 2.0001)) == "outside of min_value and max_value");
  CHECK(rig.refusal(rig.command("plc.pump", true)).empty());
  CHECK(rig.refusal(rig.command("plc.pump", 0)).empty());
  CHECK(rig.refusal(rig.command("plc.pump", 0.5)) == "a coil takes true or false");
  CHECK(rig.refusal(rig.command("plc.other", 1)) == "not writable: plc.other");
  CHECK(rig.refusal(rig.command("setpoint", 1)) == "not writable: setpoint");
}

TEST_CASE("a register is written so often in any minute, and so are commands obeyed") {
  CommandDeskRig rig;
  const auto pump = [&] { return rig.refusal(rig.command("plc.pump", true)); };
  CHECK(pump().empty());
  rig.clock.advance(30s);
  CHECK(pump().empty());
  CHECK(pump() == "more than 2 writes a minute");
  rig.clock.advance(29s);
  CHECK(pump() == "more than 2 writes a minute");
  rig.clock.advance(1s);
  CHECK(pump().empty());
  CHECK(pump() == "more than 2 writes a minute");

  CommandDeskRig few([](config::Config& config) { config.commands.per_minute = 3; });
  for (int k = 0; k < 3; ++k) CHECK(few.refusal(few.command("plc.setpoint", 1)).empty());
  CHECK(few.refusal(few.command("plc.setpoint", 1)) == "more than 3 commands a minute");
  few.clock.advance(1min);
  CHECK(few.refusal(few.command("plc.setpoint", 1)).empty());
}

TEST_CASE("what can't be read is answered only if it says to whom, and recorded anyhow") {
  CommandDeskRig rig;
  rig.desk->arrived("twinkeeper/gw/command/write", "rubbish", false);
  rig.desk->run();
  CHECK(rig.answers.empty());
  json command = rig.command("plc.setpoint", 1);
  command["extra"] = 1;
  CHECK(rig.refusal(command) == "malformed: unknown member extra");
  const auto trail = rig.trail();
  REQUIRE(trail.size() == 2);
  CHECK(trail[0]["reason"] == "malformed: no JSON object");
  CHECK(trail[0]["correlation_id"] == "");
}

TEST_CASE("a flood of commands is bounded, and its loss is recorded") {
  CommandDeskRig rig;
  for (int k = 0; k < 1000; ++k) rig.desk->arrived("twinkeeper/gw/command/write", "rubbish", false);
  rig.desk->run();
  const auto trail = rig.trail();
  REQUIRE(trail.size() == 33);
  CHECK(trail.back()["reason"] == "968 commands came too fast and were dropped unread");

  // However long it goes on, a minute has 50 (of the configuration) + 60 lines, and one that counts the rest.
  int given = 1000;
  for (int second = 0; second < 60; ++second) {
    rig.clock.advance(1s);
    for (int k = 0; k < 20; ++k, ++given) rig.desk->arrived("twinkeeper/gw/command/write", "rubbish", false);
    rig.desk->run();
  }
  rig.desk->stop();
  std::size_t counted = 0;
  std::size_t lines = 0;
  for (const json& line : rig.trail()) {
    const auto reason = line["reason"].get<std::string>();
    ++lines;
    counted += reason == "malformed: no JSON object" ? 1 : std::stoul(reason);
  }
  CHECK(counted == static_cast<std::size_t>(given));
  CHECK(lines <= 33 + 110 + 2);
}

TEST_CASE("orders that find no room or no poller any more are told as not written") {
  CommandDeskRig rig;
  for (std::size_t k = 0; k < drivers::WriteQueue::kMost; ++k) {
    rig.give(rig.command("plc.setpoint", 1));
    REQUIRE(rig.answers.empty());
  }
  rig.give(rig.command("plc.setpoint", 1));
  REQUIRE(rig.answers.size() == 1);
  CHECK(rig.answers[0]["reason"] == "too many orders wait for this connection");
  rig.desk->stop();
  REQUIRE(rig.answers.size() == 1 + drivers::WriteQueue::kMost);
  for (std::size_t k = 1; k < rig.answers.size(); ++k) {
    CHECK(rig.answers[k]["result"] == "failed");
    CHECK(rig.answers[k]["reason"] == "not written: the service stopped before");
  }
  CHECK(rig.trail().size() == rig.answers.size());
}

TEST_CASE("a desk that ends while pollers go on withdraws what none has taken, and says what it does not know") {
  CommandDeskRig rig;
  rig.give(rig.command("plc.setpoint", 1));
  rig.give(rig.command("plc.setpoint", 1));
  const auto taken = rig.queue.take();
  REQUIRE(taken);
  rig.desk->stop();
  REQUIRE(rig.answers.size() == 2);
  CHECK(rig.answers[0]["reason"] == "the service was reloaded before it was known whether it is written");
  CHECK(rig.answers[1]["reason"] == "not written: the service stopped before");
  CHECK_FALSE(rig.queue.take());
}
