#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/control_client.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "config/config.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

constexpr base::Duration kPatience = std::chrono::seconds{20};

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "2026-03-01T08:15:30.042Z" as "2026-03-01 08:15:30Z"
std::string short_time(std::string time) {
  if (time.size() == 24) time.erase(19, 4);
  std::replace(time.begin(), time.end(), 'T', ' ');
  return time;
}

std::string who(const json& entry) {
  std::string words;
  const std::string by = text_of(entry, "by");
  const std::string until = text_of(entry, "until");
  const std::string comment = text_of(entry, "comment");
  if (!by.empty()) words += "by " + by;
  if (!until.empty()) words += (words.empty() ? "until " : " until ") + short_time(until);
  if (!comment.empty()) words += (words.empty() ? "" : ": ") + comment;
  return words;
}

struct Row {
  std::string state, priority, since, id, message;
};

void print_table(const std::vector<Row>& rows) {
  std::size_t state = 5, priority = 8, since = 5, id = 5;
  for (const Row& row : rows) {
    state = std::max(state, row.state.size());
    priority = std::max(priority, row.priority.size());
    since = std::max(since, row.since.size());
    id = std::max(id, row.id.size());
  }
  const auto padded = [](const std::string& text, std::size_t width) {
    return text + std::string(width - std::min(width, text.size()) + 2, ' ');
  };
  const auto print = [&](const Row& row) {
    std::cout << padded(row.priority, priority) << padded(row.state, state) << padded(row.since, since)
              << padded(row.id, id) << row.message << '\n';
  };
  print({"STATE", "PRIORITY", "SINCE", "ALARM", "MESSAGE"});
  for (const Row& row : rows) print(row);
}

void print_list(const json& answer) {
  std::vector<Row> rows;
  for (const json& alarm : answer.at("alarms")) {
    const bool standing = alarm.value("standing", true);
    std::string message = text_of(alarm, "message");
    if (const std::string words = who(alarm); !words.empty()) message += " (" + words + ")";
    rows.push_back({text_of(alarm, "state") + (standing ? "" : ", returned"), text_of(alarm, "priority"),
                    short_time(text_of(alarm, "since")), text_of(alarm, "anomaly"), std::move(message)});
  }
  for (const json& shelf : answer.at("shelved")) {
    rows.push_back({"shelved", "-", "-", text_of(shelf, "name"), "not raised since the start (" + who(shelf) + ")"});
  }
  if (rows.empty()) {
    std::cout << "no alarms\n";
  } else {
    print_table(rows);
  }
  for (const json& owner : answer.at("maintenance")) {
    std::cout << text_of(owner, "name") << " is in maintenance " << who(owner) << '\n';
  }
}

// Where the service listens, or nothing after a fault that has been told.
std::optional<std::string> socket_of(const AlarmsArguments& arguments, int& code) {
  if (arguments.socket) return *arguments.socket;
  if (!arguments.config_file) return control_socket_path(kUsualControlSocket);
  config::LoadOptions options;
  options.check_files = false;
  auto loaded = config::load(*arguments.config_file, options);
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded)) {
    code = report(*faults, std::cerr);
    return std::nullopt;
  }
  return control_socket_path(std::get<config::Config>(loaded).gateway.control_socket);
}

}  // namespace

int exit_code_of_control(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::permission_denied: return kExitPermission;
    case base::ErrorCode::invalid_argument: return kExitUsage;
    case base::ErrorCode::io: return kExitIo;
    default: return kExitUnavailable;
  }
}

int alarms_command(const AlarmsArguments& arguments) {
  int code = kExitDone;
  const auto path = socket_of(arguments, code);
  if (!path) return code;
  json asked = json::object();
  if (arguments.verb == "maintenance") {
    asked["name"] = arguments.subject;
  } else if (arguments.verb != "alarms") {
    asked["anomaly"] = arguments.subject;
  }
  if (arguments.duration) asked["duration"] = *arguments.duration;
  if (arguments.comment) asked["comment"] = *arguments.comment;
  auto client = ControlClient::connect(*path);
  if (!client.ok()) {
    const bool refused = client.error().code() == base::ErrorCode::permission_denied;
    return told("alarms: " + client.error().message() +
                    (refused ? "; accepted: a member of the socket's group (twinkeeper)" : "; is twinkeeper running?"),
                exit_code_of_control(client.error()));
  }
  auto sent = client.value().ask(arguments.verb, asked.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!sent.ok()) return told("alarms: " + sent.error().message(), kExitUnavailable);
  auto line = client.value().line(kPatience);
  if (!line.ok()) return told("alarms: " + line.error().message(), kExitUnavailable);
  const json answer = json::parse(line.value(), nullptr, false);
  if (!answer.is_object()) return told("alarms: the service answers what is no JSON", kExitInternal);
  const bool done = text_of(answer, "result") == "done";
  if (arguments.json) {
    std::cout << line.value() << '\n';
  } else if (!done) {
    return told("alarms: " + text_of(answer, "result") + ": " + text_of(answer, "reason"), kExitBadData);
  } else if (arguments.verb == "alarms") {
    print_list(answer);
  } else {
    std::cout << arguments.verb << " " << arguments.subject << ": done\n";
  }
  return done ? kExitDone : kExitBadData;
}

}  // namespace twinkeeper::app
