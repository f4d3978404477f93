#include "telemetry/command.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "telemetry/json_writer.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::telemetry {
namespace {

using nlohmann::json;

constexpr std::size_t kMostBytes = 64 * 1024;
constexpr int kMostLevels = 16;
constexpr int kAuditDigits = 17;
constexpr std::size_t kMostNames = 1000;
constexpr std::size_t kMostInputs = 256;
constexpr std::size_t kMostValues = 2000;  // of all inputs of a what-if
constexpr std::size_t kLongestComment = 256;
constexpr const char* kControlSchema = "twinkeeper.control/1";

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

std::string format_plain(double value) {
  std::string text;
  append_number(text, value, 6);
  return text;
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
  std::string text_if_given(const char* name, std::size_t most) { return given(name) ? text(name, most) : ""; }
  // From `least` to `most`.
  base::Duration duration(const char* name, base::Duration least, base::Duration most) {
    const auto parsed = base::parse_duration(text(name, 40));
    if (parsed.ok() && parsed.value() >= least && parsed.value() <= most) return parsed.value();
    fault(where_ + name + " is no duration from " + base::format_duration(least) + " to " +
          base::format_duration(most));
    return {};
  }
  std::vector<std::string> names_if_given(const char* name) {
    if (!given(name)) return {};
    std::vector<std::string> names;
    const json& list = object_.at(name);
    if (list.is_array() && !list.empty() && list.size() <= kMostNames) {
      for (const json& entry : list) {
        if (entry.is_string()) names.push_back(entry.get<std::string>());
      }
      if (names.size() == list.size()) return names;
    }
    fault(where_ + name + " is no list of 1 to " + std::to_string(kMostNames) + " names");
    return {};
  }
  double number_if_given(const char* name, double otherwise, double least, double most) {
    if (!given(name)) return otherwise;
    const json& value = object_.at(name);
    if (value.is_number() && value.get<double>() >= least && value.get<double>() <= most) return value.get<double>();
    fault(where_ + name + " is no number from " + format_plain(least) + " to " + format_plain(most));
    return otherwise;
  }
  bool true_if_given(const char* name) {
    if (!given(name)) return false;
    const json& value = object_.at(name);
    if (!value.is_boolean() || !value.get<bool>()) fault(where_ + name + " is not true");
    return true;
  }
  bool given(const char* name) {
    known_.insert(name);
    return object_.contains(name);
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
  writer.text("verb", answer.verb);
  writer.text("result", to_string(answer.result));
  writer.text_or_null("reason", answer.reason);
  writer.text_or_null("by", answer.by);
  if (!answer.subject.empty()) writer.text("subject", answer.subject);
  if (!answer.comment.empty()) writer.text("comment", answer.comment);
  if (answer.duration > base::Duration::zero()) writer.text("duration", base::format_duration(answer.duration));
  if (answer.tag.empty()) return;
  writer.text("tag", answer.tag);
  writer.number("value", answer.value);
  for (const auto& [name, text] : {std::pair{"before", &answer.before}, {"after", &answer.after}}) {
    writer.key(name);
    writer.out() += text->empty() ? "null" : *text;
  }
}

// A number holds from the beginning; of a list each entry from its seconds on.
PlannedInput planned_input(const std::string& name, const json& written, std::size_t& room, Members& members) {
  PlannedInput input{name, {}};
  const auto wrong = [&] {
    members.fault("arguments.inputs." + name + " is neither a number nor a list of [seconds, number] in order of time");
    return PlannedInput{};
  };
  if (written.is_number()) {
    input.values.emplace_back(base::Duration::zero(), written.get<double>());
    return input;
  }
  if (!written.is_array() || written.empty()) return wrong();
  for (const json& entry : written) {
    constexpr double kMostSeconds = 1e9;
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number() || !entry[1].is_number()) return wrong();
    const double seconds = entry[0].get<double>();
    if (!(seconds >= 0.0 && seconds <= kMostSeconds)) return wrong();
    const base::Duration time{static_cast<base::Duration::rep>(seconds * 1e9)};
    if (!input.values.empty() && time <= input.values.back().first) return wrong();
    if (room-- == 0) {
      members.fault("arguments.inputs has more than " + std::to_string(kMostValues) + " values");
      return {};
    }
    input.values.emplace_back(time, entry[1].get<double>());
  }
  return input;
}

// False: there is no such verb.
bool read_arguments(const std::string& verb, Members& members, CommandArguments& out) {
  using namespace std::chrono_literals;
  constexpr std::size_t kLongestName = 200;
  if (verb == "write") {
    out.subject = members.text("tag", 128);
    out.value = members.number("value");
  } else if (verb == "acknowledge" || verb == "unshelve" || verb == "shelve") {
    out.subject = members.text("anomaly", kLongestName);
    if (verb == "shelve") out.duration = members.duration("duration", 1s, kLongestOrder);
    out.comment = members.text_if_given("comment", kLongestComment);
  } else if (verb == "maintenance") {
    out.subject = members.text("name", kLongestName);
    out.duration = members.duration("duration", 0s, kLongestOrder);
    out.comment = members.text_if_given("comment", kLongestComment);
  } else if (verb == "snapshot") {
    out.twins = members.names_if_given("twins");
    out.devices = members.names_if_given("devices");
  } else if (verb == "what-if") {
    out.subject = members.text("twin", kLongestName);
    out.duration = members.duration("horizon", 1ms, 3650 * 24h);
    out.band = members.number_if_given("band", out.band, 1.0, 99.99);
    out.points = static_cast<int>(members.number_if_given("points", out.points, 1.0, 1000.0));
    if (members.given("inputs")) {
      std::size_t room = kMostValues;
      const json& inputs = members.object("inputs");
      if (inputs.size() > kMostInputs) members.fault("arguments.inputs has more than " + std::to_string(kMostInputs));
      for (const auto& [name, written] : inputs.items()) {
        out.inputs.push_back(planned_input(name, written, room, members));
      }
    }
  } else {
    return verb == "describe" || verb == "reload";
  }
  return true;
}

// The same of the verbs that the broker does not have.
bool read_local_arguments(const std::string& verb, Members& members, CommandArguments& out) {
  if (verb == "purge") {
    out.stream = members.text_if_given("stream", kLongestComment);
    out.spool = members.text_if_given("spool", 4096);
    out.dead = members.true_if_given("dead");
    out.all = members.true_if_given("all");
    const bool some = !out.stream.empty() || out.dead;
    if (some == out.all) members.fault("arguments are neither all nor stream or dead");
    return true;
  }
  if (verb == "log-level") {
    const auto& levels = signals::kEventLevels;
    out.subject = members.text_if_given("level", 16);
    if (members.given("duration")) out.duration = members.duration("duration", std::chrono::seconds{1}, kLongestOrder);
    if (!out.subject.empty() && std::find(levels.begin(), levels.end(), out.subject) == levels.end()) {
      members.fault("arguments.level is none of trace, debug, info, warning, error");
    }
    return true;
  }
  return verb == "alarms" || verb == "record";
}

// Nothing, and why, unless the text is an object within the bounds.
json parse_object(std::string_view text, std::string& fault) {
  bool repeated = false;
  json document;
  if (text.size() > kMostBytes) {
    fault = "larger than 64 KiB";
  } else if (too_deep(text)) {
    fault = "more than 16 levels deep";
  } else if (document = parse(text, repeated); !document.is_object()) {
    fault = "no JSON object";
  } else if (repeated) {
    fault = "a member stands twice in one object";
  }
  return document;
}

}  // namespace

std::variant<Command, CommandFault> parse_command(std::string_view verb, std::string_view payload) {
  std::string fault;
  const json document = parse_object(payload, fault);
  if (!fault.empty()) return CommandFault{{}, std::move(fault)};
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
  if (!read_arguments(command.verb, arguments, command.arguments)) members.fault("unknown verb " + command.verb);
  fault = members.faults();
  if (fault.empty()) fault = arguments.faults();
  if (!fault.empty()) return CommandFault{command.correlation_id, std::move(fault)};
  return command;
}

std::variant<ControlRequest, CommandFault> parse_control_request(std::string_view line) {
  std::string fault;
  const json document = parse_object(line, fault);
  if (!fault.empty()) return CommandFault{{}, std::move(fault)};
  Members members(document, "");
  ControlRequest request;
  if (members.text("schema", 64) != kControlSchema) members.fault(std::string("schema is not ") + kControlSchema);
  request.verb = members.text("verb", 64);
  Members arguments(members.object("arguments"), "arguments.");
  const bool known = request.verb != "write" && (read_local_arguments(request.verb, arguments, request.arguments) ||
                                                 read_arguments(request.verb, arguments, request.arguments));
  if (!known) members.fault("unknown verb " + request.verb);
  fault = members.faults();
  if (fault.empty()) fault = arguments.faults();
  if (!fault.empty()) return CommandFault{{}, std::move(fault)};
  return request;
}

CommandAnswer answer_to(std::string verb, const CommandArguments& arguments) {
  CommandAnswer answer;
  answer.verb = std::move(verb);
  if (answer.verb == "write") {
    answer.tag = arguments.subject;
    answer.value = arguments.value;
    return answer;
  }
  answer.subject = arguments.subject;
  answer.comment = arguments.comment;
  answer.duration = arguments.duration;
  return answer;
}

std::string_view to_string(CommandResult result) noexcept {
  switch (result) {
    case CommandResult::accepted: return "accepted";
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
  writer.text("correlation_id", answer.correlation_id);
  write_members(writer, answer);
  if (!answer.content.empty()) out.members += "," + answer.content;
}

std::string control_line(const CommandAnswer& answer) {
  std::string line;
  JsonWriter writer(line, kAuditDigits);
  writer.text("schema", kControlSchema);
  write_members(writer, answer);
  if (!answer.content.empty()) line += "," + answer.content;
  return "{" + line + "}";
}

std::string audit_line(const CommandAnswer& answer, std::uint64_t number, base::WallTime time) {
  std::string line;
  JsonWriter writer(line, kAuditDigits);
  writer.natural("number", number);
  writer.timestamp("time", time);
  writer.text("correlation_id", answer.correlation_id);
  write_members(writer, answer);
  return "{" + line + "}";
}

}  // namespace twinkeeper::telemetry
