#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/control_session.hpp"
#include "app/exit_codes.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

constexpr base::Duration kPatience = std::chrono::seconds{20};

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

void print_alarm_table(const std::vector<Row>& rows) {
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
    print_alarm_table(rows);
  }
  for (const json& owner : answer.at("maintenance")) {
    std::cout << text_of(owner, "name") << " is in maintenance " << who(owner) << '\n';
  }
}

}  // namespace

int alarms_command(const AlarmsArguments& arguments) {
  const auto path = socket_of(arguments.config_file, arguments.socket);
  if (const int* code = std::get_if<int>(&path)) return *code;
  json asked = json::object();
  if (arguments.verb == "maintenance") {
    asked["name"] = arguments.subject;
  } else if (arguments.verb != "alarms") {
    asked["anomaly"] = arguments.subject;
  }
  if (arguments.duration) asked["duration"] = *arguments.duration;
  if (arguments.comment) asked["comment"] = *arguments.comment;
  auto begun = ControlSession::ask("alarms", std::get<std::string>(path), arguments.verb, asked);
  if (const int* code = std::get_if<int>(&begun)) return *code;
  auto& session = std::get<ControlSession>(begun);
  const auto answered = session.answer(kPatience);
  if (const int* code = std::get_if<int>(&answered)) return *code;
  const json& answer = std::get<json>(answered);
  const bool done = text_of(answer, "result") == "done";
  if (arguments.json) {
    std::cout << session.line() << '\n';
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
