// What a command of the executable asks the running service: what is in the way is told on stderr with the command's name.
//
// Thread rule: one thread. Blocks.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include <nlohmann/json.hpp>

#include "app/control_client.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app {

// Where the service listens, by what a command was given; or the exit code of a fault in the configuration file.
[[nodiscard]] std::variant<std::string, int> socket_of(const std::optional<std::string>& config_file,
                                                       const std::optional<std::string>& socket);

class ControlSession {
 public:
  [[nodiscard]] static std::variant<ControlSession, int> ask(const std::string& command, const std::string& path,
                                                             const std::string& verb, const nlohmann::json& arguments);
  // The next one, an object; or an exit code.
  [[nodiscard]] std::variant<nlohmann::json, int> answer(base::Duration patience);
  [[nodiscard]] const std::string& line() const { return line_; }  // the last answer as it came

 private:
  ControlSession(std::string command, ControlClient client)
      : command_(std::move(command)), client_(std::move(client)) {}

  std::string command_;
  ControlClient client_;
  std::string line_;
};

// Of an answer; empty: there is no such text.
[[nodiscard]] std::string text_of(const nlohmann::json& answer, const char* name);

}  // namespace twinkeeper::app
