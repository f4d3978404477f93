// Commands as they come in, and the lines that tell of them.
#include "telemetry/command.hpp"

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
  CHECK(command.tag == "plc.setpoint");
  CHECK(command.value == 1.25);
}

TEST_CASE("true and false are one and zero") {
  for (const bool value : {true, false}) {
    json document = good();
    document["arguments"]["value"] = value;
    CHECK(std::get<Command>(parse_command("write", document.dump())).value == (value ? 1.0 : 0.0));
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
  const json line = json::parse(audit_line(answer, time));
  CHECK(line["time"] == base::format_rfc3339(time));
  CHECK(line["by"] == answer.by);
  CHECK(line["result"] == "failed");
  CHECK(line["value"].get<double>() == 0.1 + 0.2);
  CHECK(line["before"] == 0.1);
  CHECK(line["after"].is_null());
  answer.tag.clear();
  CHECK_FALSE(json::parse(audit_line(answer, time)).contains("value"));
  CHECK(audit_line(answer, time).find('\n') == std::string::npos);
}
