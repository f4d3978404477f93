// Commands of every verb and requests through the control socket: whatever the text is, it is refused with a reason or
// read within its bounds, and what is told of it is one line of JSON.
//
// Input   verb (1) | way (1): 0: the text is the payload, 1: it is the arguments in a good envelope, 2: a request of the
//         control socket, 3: the arguments of such a request | text
#include <array>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>

#include "fuzz_input.hpp"
#include "telemetry/command.hpp"
#include "telemetry/settings.hpp"

namespace {

using namespace twinkeeper;
using fuzz::demand;
using telemetry::CommandArguments;

constexpr std::size_t kMostBytes = 64 * 1024;

void check(const CommandArguments& arguments) {
  demand(arguments.duration >= base::Duration::zero(), "no duration is negative");
  demand(std::isfinite(arguments.value), "a value is finite");
  demand(arguments.subject.size() <= 200 && arguments.comment.size() <= 256, "texts are bounded");
  demand(arguments.twins.size() <= 1000 && arguments.devices.size() <= 1000, "lists are bounded");
  demand(arguments.band >= 1.0 && arguments.band <= 99.99, "a band is a share");
  demand(arguments.points >= 1 && arguments.points <= 1000, "points are bounded");
  std::size_t values = 0;
  for (const auto& input : arguments.inputs) {
    demand(!input.values.empty(), "an input has a value");
    base::Duration before{-1};
    for (const auto& [time, value] : input.values) {
      demand(time > before && std::isfinite(value), "values are finite and in order of time");
      before = time;
      ++values;
    }
  }
  demand(arguments.inputs.size() <= 256 && values <= 2000 + 256, "inputs are bounded");
}

void check_lines(telemetry::CommandAnswer answer) {
  answer.by = "somebody";
  answer.correlation_id = "c";
  for (const std::string& line :
       {telemetry::audit_line(answer, 7, base::WallTime{}), telemetry::control_line(answer)}) {
    demand(line.find('\n') == std::string::npos, "a line is one");
    demand(nlohmann::json::parse(line, nullptr, false).is_object(), "a line is JSON");
  }
}

void check_fault(const telemetry::CommandFault& fault) {
  demand(!fault.what.empty(), "a fault says what");
  telemetry::CommandAnswer answer;
  answer.reason = fault.what;
  check_lines(std::move(answer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::string verb = telemetry::kCommandVerbs[input.byte() % telemetry::kCommandVerbs.size()];
  const int way = input.byte() % 4;
  const std::string text(input.text(2 * kMostBytes));
  if (way < 2) {
    const std::string payload =
        way == 0 ? text
                 : R"({"schema":"twinkeeper.command/1","correlation_id":"c","issued_at":"2026-03-01T08:00:00Z",)"
                   R"("expires_at":"2026-03-01T08:00:30Z","by":"f","arguments":)" +
                       text + "}";
    const auto parsed = telemetry::parse_command(verb, payload);
    if (const auto* fault = std::get_if<telemetry::CommandFault>(&parsed)) {
      check_fault(*fault);
    } else {
      const auto& command = std::get<telemetry::Command>(parsed);
      demand(payload.size() <= kMostBytes, "what is read is no larger than allowed");
      demand(command.verb == verb && !command.correlation_id.empty(), "a command has a verb and an id");
      check(command.arguments);
      check_lines(telemetry::answer_to(command.verb, command.arguments));
    }
    return 0;
  }
  const auto parsed = telemetry::parse_control_request(
      way == 2 ? text : R"({"schema":"twinkeeper.control/1","verb":")" + verb + R"(","arguments":)" + text + "}");
  if (const auto* fault = std::get_if<telemetry::CommandFault>(&parsed)) {
    check_fault(*fault);
  } else {
    const auto& request = std::get<telemetry::ControlRequest>(parsed);
    demand(request.verb != "write", "this comes through the broker alone");
    check(request.arguments);
    check_lines(telemetry::answer_to(request.verb, request.arguments));
  }
  return 0;
}
