#include <iostream>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/control_session.hpp"
#include "app/exit_codes.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

constexpr base::Duration kToBegin = std::chrono::seconds{20};
constexpr base::Duration kToEnd = std::chrono::minutes{3};  // devices, twins and spool stop, and start again

}  // namespace

int reload_command(const ReloadArguments& arguments) {
  const auto path = socket_of(arguments.config_file, arguments.socket);
  if (const int* code = std::get_if<int>(&path)) return *code;
  auto begun = ControlSession::ask("reload", std::get<std::string>(path), "reload", json::object());
  if (const int* code = std::get_if<int>(&begun)) return *code;
  auto& session = std::get<ControlSession>(begun);
  auto answered = session.answer(kToBegin);
  if (const auto* first = std::get_if<json>(&answered); first != nullptr && text_of(*first, "result") == "accepted") {
    answered = session.answer(kToEnd);
  }
  if (const int* code = std::get_if<int>(&answered)) return *code;
  const json& answer = std::get<json>(answered);
  const std::string result = text_of(answer, "result");
  if (arguments.json) std::cout << session.line() << '\n';
  if (result == "done") {
    if (!arguments.json) std::cout << "reloaded: " << text_of(answer, "restarted") << '\n';
    return kExitDone;
  }
  if (result != "failed") {
    if (arguments.json) return kExitBadData;
    return told("reload: " + result + ": " + text_of(answer, "reason"), kExitBadData);
  }
  const auto code = answer.find("exit_code");
  const int exit_code = code != answer.end() && code->is_number_integer() ? code->get<int>() : kExitUnavailable;
  if (arguments.json) return exit_code;
  const auto faults = answer.find("faults");
  const bool listed = faults != answer.end() && faults->is_array() && !faults->empty();
  for (std::size_t i = 0; listed && i < faults->size(); ++i) {
    if ((*faults)[i].is_string()) std::cerr << (*faults)[i].get<std::string>() << '\n';
  }
  return told("reload: failed: " + (listed ? "the old configuration keeps running" : text_of(answer, "reason")),
              exit_code);
}

}  // namespace twinkeeper::app
