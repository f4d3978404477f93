#include "app/control_session.hpp"

#include <iostream>
#include <utility>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "config/config.hpp"

namespace twinkeeper::app {

using nlohmann::json;

namespace {

int exit_code_of_session(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::permission_denied: return kExitPermission;
    case base::ErrorCode::invalid_argument: return kExitUsage;
    case base::ErrorCode::io: return kExitIo;
    default: return kExitUnavailable;
  }
}

}  // namespace

std::variant<std::string, int> socket_of(const std::optional<std::string>& config_file,
                                         const std::optional<std::string>& socket) {
  if (socket) return *socket;
  if (!config_file) return control_socket_path(kUsualControlSocket);
  config::LoadOptions options;
  options.check_files = false;
  auto loaded = config::load(*config_file, options);
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded)) return report(*faults, std::cerr);
  return control_socket_path(std::get<config::Config>(loaded).gateway.control_socket);
}

std::variant<ControlSession, int> ControlSession::ask(const std::string& command, const std::string& path,
                                                      const std::string& verb, const json& arguments) {
  auto client = ControlClient::connect(path);
  if (!client.ok()) {
    const bool refused = client.error().code() == base::ErrorCode::permission_denied;
    return told(command + ": " + client.error().message() +
                    (refused ? "; accepted: a member of the socket's group (twinkeeper)" : "; is twinkeeper running?"),
                exit_code_of_session(client.error()));
  }
  const auto sent = client.value().ask(verb, arguments.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!sent.ok()) return told(command + ": " + sent.error().message(), kExitUnavailable);
  return ControlSession(command, std::move(client).value());
}

std::variant<json, int> ControlSession::answer(base::Duration patience) {
  auto line = client_.line(patience);
  if (!line.ok()) return told(command_ + ": " + line.error().message(), kExitUnavailable);
  line_ = std::move(line).value();
  json answer = json::parse(line_, nullptr, false);
  if (!answer.is_object()) return told(command_ + ": the service answers what is no JSON", kExitInternal);
  return answer;
}

std::string text_of(const json& answer, const char* name) {
  const auto found = answer.find(name);
  return found != answer.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace twinkeeper::app
