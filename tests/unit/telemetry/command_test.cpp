// Commands as they come in, and the lines that tell of them.
#include "telemetry/command.hpp"

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using nlohmann::json;

json good() {
  return {{"schema", "twinkeeper.command/1"},
          {"correlation_id", "a-1_Z"},
          {"issued_at", "2026-03-01T08:00:00Z"},
          {"expires_at", "2026-03-01T08:00:30Z"},
          {"by", "control room"},
          {"arguments", {{"tag", "plc.setpoint"}, {"value", 1.25}}}};
}

CommandFault fault(const std::string& text) {
  const auto parsed = parse_command("write", text);
  REQUIRE(std::holds_alternative<CommandFault>(parsed));
  return std::get<CommandFault>(parsed);
}

}  // namespace

TEST_CASE("a command is read whole") {
  const auto parsed = parse_command("write", good().dump());
  REQUIRE(std::holds_alternative<Command>(parsed));
  const auto& command = std::get<Command>(parsed);
  CHECK(command.verb == "write");
  CHECK(command.correlation_id == "a-1_Z");
  CHECK(command.expires_at - command.issued_at == std::chrono::seconds{30});
  CHECK(command.by == "control room");
  CHECK(command.arguments.subject == "plc.setpoint");
  CHECK(command.arguments.value == 1.25);
}

TEST_CASE("true and false are one and zero") {
  for (const bool value : {true, false}) {
    json document = good();
    document["arguments"]["value"] = value;
    CHECK(std::get<Command>(parse_command("write", document.dump())).arguments.value == (value ? 1.0 : 0.0));
  }
}

TEST_CASE("each missing, mistyped and unknown member is a fault that names it") {
  const json document = good();
  for (const auto& [name, value] : document.items()) {
    CAPTURE(name);
    json without = document;
    without.erase(name);
    CHECK(fault(without.dump()).what.find(name) != std::string::npos);
    json mistyped = document;
    mistyped[name] = json::array();
    CHECK(fault(mistyped.dump()).what.find(name) != std::string::npos);
  }
  for (const char* name : {"tag", "value"}) {
    CAPTURE(name);
    json without = document;
    without["arguments"].erase(name);
    CHECK(fault(without.dump()).what.find(name) != std::string::npos);
  }
  json unknown = document;
  unknown["force"] = true;
  CHECK(fault(unknown.dump()).what == "unknown member force");
  CHECK(fault(unknown.dump()).correlation_id == "a-1_Z");
  unknown = document;
  unknown["arguments"]["force"] = true;
  CHECK(fault(unknown.dump()).what == "unknown member arguments.force");
}

TEST_CASE("a correlation id that is no topic level is no id") {
  for (const char* id : {"", "a/b", "a#", "+", "\u00e4", "a b"}) {
    json document = good();
    document["correlation_id"] = id;
    CAPTURE(id);
    CHECK(fault(document.dump()).correlation_id.empty());
  }
  json document = good();
  document["correlation_id"] = std::string(65, 'a');
  CHECK(fault(document.dump()).correlation_id.empty());
  document["correlation_id"] = std::string(64, 'a');
  CHECK(std::holds_alternative<Command>(parse_command("write", document.dump())));
}

TEST_CASE("what is no JSON object, too deep, too large or says a thing twice is refused") {
  for (const char* text : {"", "null", "[1]", "{", "\xff", "1e999", "{\"a\":1}{}"}) {
    CAPTURE(text);
    CHECK(fault(text).what == "no JSON object");
  }
  const std::string text = good().dump();
  CHECK(fault(std::string(17, '[') + std::string(17, ']')).what == "more than 16 levels deep");
  CHECK(fault(std::string(1'000'000, '[')).what == "larger than 64 KiB");
  CHECK(fault(text + std::string(64 * 1024, ' ')).what == "larger than 64 KiB");
  CHECK(fault(text.substr(0, text.size() - 1) + R"(,"by":"another"})").what == "a member stands twice in one object");
  // The level counts structure, not what texts contain.
  json document = good();
  document["by"] = R"(\"[[[[[[[[[[[[[[[[[[[[[[[[)";
  CHECK(std::holds_alternative<Command>(parse_command("write", document.dump())));
}

TEST_CASE("a number too large for a double is refused") {
  std::string text = good().dump();
  text.replace(text.find("1.25"), 4, "1e999");
  CHECK_FALSE(std::holds_alternative<Command>(parse_command("write", text)));
}

namespace {

// What is wrong with the arguments of a verb; empty: nothing.
std::string wrong(const std::string& verb, const json& arguments) {
  json document = good();
  document["arguments"] = arguments;
  const auto parsed = parse_command(verb, document.dump());
  const auto* fault = std::get_if<CommandFault>(&parsed);
  return fault == nullptr ? "" : fault->what;
}

}  // namespace

TEST_CASE("each verb takes its own arguments and no others") {
  const std::map<std::string, json> least{
      {"acknowledge", {{"anomaly", "a.b"}}}, {"shelve", {{"anomaly", "a.b"}, {"duration", "30min"}}},
      {"unshelve", {{"anomaly", "a.b"}}},    {"maintenance", {{"name", "tanks"}, {"duration", "0s"}}},
      {"describe", json::object()},          {"reload", json::object()},
      {"snapshot", json::object()},          {"what-if", {{"twin", "tanks"}, {"horizon", "1h"}}},
  };
  for (const auto& [verb, arguments] : least) {
    CAPTURE(verb);
    CHECK(wrong(verb, arguments).empty());
    json more = arguments;
    more["force"] = true;
    CHECK(wrong(verb, more) == "unknown member arguments.force");
    for (const auto& [name, value] : arguments.items()) {
      json without = arguments;
      without.erase(name);
      CHECK(wrong(verb, without).find("arguments." + name) == 0);
      json mistyped = arguments;
      mistyped[name] = 7;
      CHECK(wrong(verb, mistyped).find("arguments." + name) == 0);
    }
  }
  CHECK(wrong("reboot", json::object()) == "unknown verb reboot");
  CHECK(wrong("alarms", json::object()) == "unknown verb alarms");
  CHECK(wrong("shelve", {{"anomaly", "a"}, {"duration", "8d"}}) == "arguments.duration is no duration from 1s to 7d");
  CHECK(wrong("shelve", {{"anomaly", "a"}, {"duration", "1m"}}) == "arguments.duration is no duration from 1s to 7d");
  CHECK(wrong("acknowledge", {{"anomaly", "a"}, {"comment", std::string(257, 'x')}}) ==
        "arguments.comment is no text of at most 256 bytes");
  CHECK(wrong("snapshot", {{"twins", json::array()}}) == "arguments.twins is no list of 1 to 1000 names");
  CHECK(wrong("snapshot", {{"devices", {"plc", 1}}}) == "arguments.devices is no list of 1 to 1000 names");
}

TEST_CASE("inputs to come are a number or a list in order of time") {
  const auto asked = [](const json& inputs) { return json{{"twin", "tanks"}, {"horizon", "10s"}, {"inputs", inputs}}; };
  json document = good();
  document["arguments"] = asked({{"pump", 3.5}, {"ambient", {{0, 20}, {2.5, 21}}}});
  document["arguments"]["band"] = 50;
  const auto command = std::get<Command>(parse_command("what-if", document.dump()));
  CHECK(command.arguments.subject == "tanks");
  CHECK(command.arguments.duration == std::chrono::seconds{10});
  CHECK(command.arguments.band == 50.0);
  REQUIRE(command.arguments.inputs.size() == 2);
  CHECK(command.arguments.inputs[0].name == "ambient");
  CHECK(command.arguments.inputs[0].values[1] == std::pair<base::Duration, double>{2500000000, 21.0});
  CHECK(command.arguments.inputs[1].values == std::vector<std::pair<base::Duration, double>>{{{}, 3.5}});
  const std::string what = "arguments.inputs.a is neither a number nor a list of [seconds, number] in order of time";
  for (const char* bad : {"\"1\"", "true", "[]", "[1,2]", "[[1,2,3]]", "[[2,1],[2,1]]", "[[-1,1]]", "[[0,null]]"}) {
    CAPTURE(bad);
    CHECK(wrong("what-if", asked({{"a", json::parse(bad)}})) == what);
  }
  json many = json::array();
  for (int k = 0; k < 2001; ++k) many.push_back({k, 1});
  CHECK(wrong("what-if", asked({{"a", many}})) == "arguments.inputs has more than 2000 values");
}

TEST_CASE("a request through the control socket has a verb of its own and nothing of an envelope") {
  const auto ask = [](const json& request) {
    const auto parsed = parse_control_request(request.dump());
    const auto* fault = std::get_if<CommandFault>(&parsed);
    return fault == nullptr ? "" : fault->what;
  };
  json request = {{"schema", "twinkeeper.control/1"}, {"verb", "alarms"}, {"arguments", json::object()}};
  CHECK(ask(request).empty());
  request["by"] = "somebody else";
  CHECK(ask(request) == "unknown member by");
  request.erase("by");
  for (const char* verb : {"write", "dance"}) {
    request["verb"] = verb;
    CHECK(ask(request) == "unknown verb " + std::string(verb));
  }
  request["verb"] = "reload";
  CHECK(ask(request).empty());
  request["verb"] = "purge";
  for (const json& arguments : {json{{"all", true}}, json{{"dead", true}}, json{{"stream", "a.b"}},
                                json{{"stream", "a.b"}, {"dead", true}, {"spool", "/var/lib/twinkeeper"}}}) {
    request["arguments"] = arguments;
    CHECK(ask(request).empty());
  }
  for (const json& arguments : {json::object(), json{{"spool", "/x"}}, json{{"all", true}, {"dead", true}}}) {
    request["arguments"] = arguments;
    CHECK(ask(request) == "arguments are neither all nor stream or dead");
  }
  request["arguments"] = {{"all", false}};
  CHECK(ask(request) == "arguments.all is not true");
  CHECK(std::holds_alternative<CommandFault>(parse_command("purge", request.dump())));
  request["verb"] = "shelve";
  request["arguments"] = {{"anomaly", "a"}, {"duration", "1h"}};
  CHECK(ask(request).empty());
}

TEST_CASE("an audit line holds every digit, and no member of a write that there was not") {
  CommandAnswer answer;
  answer.verb = "write";
  answer.correlation_id = "c1";
  answer.by = "a \"quoted\"\nname";
  answer.result = CommandResult::failed;
  answer.reason = "because";
  answer.tag = "plc.x";
  answer.value = 0.1 + 0.2;
  answer.before = "0.1";
  const base::WallTime time{std::chrono::seconds{1'700'000'000}};
  const json line = json::parse(audit_line(answer, 17, time));
  CHECK(line["number"] == 17);
  CHECK(line["time"] == base::format_rfc3339(time));
  CHECK(line["by"] == answer.by);
  CHECK(line["result"] == "failed");
  CHECK(line["value"].get<double>() == 0.1 + 0.2);
  CHECK(line["before"] == 0.1);
  CHECK(line["after"].is_null());
  answer.tag.clear();
  CHECK_FALSE(json::parse(audit_line(answer, 17, time)).contains("value"));
  CHECK(audit_line(answer, 17, time).find('\n') == std::string::npos);
}
