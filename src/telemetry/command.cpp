#include "telemetry/command.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "telemetry/json_writer.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::telemetry {
namespace {

using nlohmann::json;

constexpr std::size_t kMostBytes = 64 * 1024;
constexpr int kMostLevels = 16;
constexpr int kAuditDigits = 17;

bool is_correlation_id(const std::string& text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// Looked at before the text is parsed: the parser would nest as deep as it says.
bool too_deep(std::string_view text) {
  int level = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++level > kMostLevels) return true;
    } else if (c == '}' || c == ']') {
      --level;
    }
  }
  return false;
}

// Also tells of a name that one object has twice, of which the parser would keep the last.
json parse(std::string_view text, bool& repeated) {
  std::vector<std::set<std::string>> names;
  return json::parse(
      text,
      [&](int, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::object_start) names.emplace_back();
        if (event == json::parse_event_t::object_end) names.pop_back();
        if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second)
          repeated = true;
        return true;
      },
      false);
}

class Members {
 public:
  Members(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  // Empty unless there is such a text.
  std::string text(const char* name, std::size_t most) {
    known_.insert(name);
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_string() || found->get_ref<const std::string&>().size() > most) {
      fault(where_ + name + " is no text of at most " + std::to_string(most) + " bytes");
      return {};
    }
    return found->get<std::string>();
  }
  base::WallTime time(const char* name) {
    const std::string written = text(name, 40);
    const auto parsed = base::parse_rfc3339(written);
    if (!parsed) fault(where_ + name + " is no time of RFC 3339");
    return parsed.value_or(base::WallTime{});
  }
  double number(const char* name) {
    known_.insert(name);
    const auto found = object_.find(name);
    if (found != object_.end() && found->is_boolean()) return found->get<bool>() ? 1.0 : 0.0;
    if (found != object_.end() && found->is_number() && std::isfinite(found->get<double>()))
      return found->get<double>();
    fault(where_ + name + " is neither a number nor true or false");
    return 0.0;
  }
  const json& object(const char* name) {
    static const json kEmpty = json::object();
    known_.insert(name);
    const auto found = object_.find(name);
    if (found != object_.end() && found->is_object()) return *found;
    fault(where_ + name + " is no object");
    return kEmpty;
  }
  // The first fault, an unknown member included.
  std::string faults() {
    for (const auto& [name, value] : object_.items()) {
      if (known_.count(name) == 0) fault("unknown member " + where_ + name);
    }
    return fault_;
  }
  void fault(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }

 private:
  const json& object_;
  const std::string where_;
  std::set<std::string> known_;
  std::string fault_;
};

void write_members(JsonWriter& writer, const CommandAnswer& answer) {
  writer.text("correlation_id", answer.correlation_id);
  writer.text("verb", answer.verb);
  writer.text("result", to_string(answer.result));
  writer.text_or_null("reason", answer.reason);
  writer.text_or_null("by", answer.by);
  if (answer.tag.empty()) return;
  writer.text("tag", answer.tag);
  writer.number("value", answer.value);
  for (const auto& [name, text] : {std::pair{"before", &answer.before}, {"after", &answer.after}}) {
    writer.key(name);
    writer.out() += text->empty() ? "null" : *text;
  }
}

}  // namespace

std::variant<Command, CommandFault> parse_command(std::string_view verb, std::string_view payload) {
  if (payload.size() > kMostBytes) return CommandFault{{}, "larger than 64 KiB"};
  if (too_deep(payload)) return CommandFault{{}, "more than 16 levels deep"};
  bool repeated = false;
  const json document = parse(payload, repeated);
  if (!document.is_object()) return CommandFault{{}, "no JSON object"};
  if (repeated) return CommandFault{{}, "a member stands twice in one object"};
  Members members(document, "");
  Command command;
  command.verb = verb;
  if (members.text("schema", 64) != "twinkeeper.command/1") members.fault("schema is not twinkeeper.command/1");
  command.correlation_id = members.text("correlation_id", 64);
  if (!is_correlation_id(command.correlation_id)) {
    command.correlation_id.clear();
    members.fault("correlation_id is not 1 to 64 of A-Z a-z 0-9 _ -");
  }
  command.issued_at = members.time("issued_at");
  command.expires_at = members.time("expires_at");
  command.by = members.text("by", 128);
  Members arguments(members.object("arguments"), "arguments.");
  if (verb == "write") {
    command.tag = arguments.text("tag", 128);
    command.value = arguments.number("value");
  } else {
    members.fault("unknown verb " + command.verb);
  }
  std::string fault = members.faults();
  if (fault.empty()) fault = arguments.faults();
  if (!fault.empty()) return CommandFault{command.correlation_id, std::move(fault)};
  return command;
}

std::string_view to_string(CommandResult result) noexcept {
  switch (result) {
    case CommandResult::refused: return "refused";
    case CommandResult::done: return "done";
    case CommandResult::failed: break;
  }
  return "failed";
}

void encode_answer(const CommandAnswer& answer, base::Instant time, signals::Message& out) {
  out.stream = "response." + answer.correlation_id;
  out.schema = "twinkeeper.response/1";
  out.message_class = signals::MessageClass::info;
  out.time = time;
  out.retain = false;
  out.members.clear();
  JsonWriter writer(out.members, kAuditDigits);
  write_members(writer, answer);
}

std::string audit_line(const CommandAnswer& answer, base::WallTime time) {
  std::string line;
  JsonWriter writer(line, kAuditDigits);
  writer.timestamp("time", time);
  write_members(writer, answer);
  return "{" + line + "}";
}

}  // namespace twinkeeper::telemetry
