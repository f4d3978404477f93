#include <iostream>

#include "app/commands.hpp"
#include "app/control_session.hpp"
#include "app/exit_codes.hpp"

namespace twinkeeper::app {
namespace {

constexpr base::Duration kLevelPatience = std::chrono::seconds{20};

}  // namespace

int log_level_command(const LogLevelArguments& arguments) {
  const auto path = socket_of(arguments.config_file, arguments.socket);
  if (const int* code = std::get_if<int>(&path)) return *code;
  nlohmann::json asked = nlohmann::json::object();
  if (arguments.level) asked["level"] = *arguments.level;
  if (arguments.length) asked["duration"] = *arguments.length;
  auto begun = ControlSession::ask("log-level", std::get<std::string>(path), "log-level", asked);
  if (const int* code = std::get_if<int>(&begun)) return *code;
  auto& session = std::get<ControlSession>(begun);
  const auto answered = session.answer(kLevelPatience);
  if (const int* code = std::get_if<int>(&answered)) return *code;
  const auto& answer = std::get<nlohmann::json>(answered);
  const std::string result = text_of(answer, "result");
  if (arguments.json) {
    std::cout << session.line() << '\n';
    return result == "done" ? kExitDone : kExitBadData;
  }
  if (result != "done") return told("log-level: " + result + ": " + text_of(answer, "reason"), kExitBadData);
  const std::string level = text_of(answer, "level");
  const std::string configured = text_of(answer, "configured");
  const std::string until = text_of(answer, "until");
  std::cout << level;
  if (!until.empty()) std::cout << " until " << until << ", then " << configured;
  if (until.empty() && level != configured) std::cout << " until the service restarts, then " << configured;
  std::cout << '\n';
  return kExitDone;
}

}  // namespace twinkeeper::app
