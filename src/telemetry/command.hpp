// Commands from outside: the form of a request on P/command/<verb>, and the answer on P/response/<correlation id>.
// Whether a request is obeyed is the application's decision.
//
// A request is one JSON object of at most 64 KiB and 16 levels with exactly the members `schema`
// (twinkeeper.command/1), `correlation_id`, `issued_at`, `expires_at`, `by` and `arguments`. Of a request through the
// control socket, where the system says who asks, they are `schema` (twinkeeper.control/1), `verb` and `arguments`. The
// arguments of each verb, durations as text ("30min"), * may be left out:
//   write        tag, value: a number, or true and false for a coil
//   acknowledge  anomaly, comment*
//   shelve       anomaly, duration, comment*
//   unshelve     anomaly, comment*
//   maintenance  name: of a twin or device, duration: 0s ends it, comment*
//   describe     -
//   snapshot     twins*, devices*: lists of names; neither: all
//   reload       -
//   what-if      twin, horizon, inputs*: name → a value, or a list of [seconds from now, value], band* in %, points*
//   alarms, record  - (control socket alone)
//   log-level    level*, duration*: how long (control socket alone)
//   purge        stream*, dead*, all*: at least one; spool*: its directory, as the asker knows it (control socket alone)
// Unknown, missing, repeated and mistyped members are faults. Errors: a CommandFault, with the correlation id if it
// could be read. Thread rule: free functions. Allocates.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

inline constexpr base::Duration kLongestOrder = std::chrono::hours{7 * 24};  // of shelving and maintenance

// An input of a what-if: each value holds until the next.
struct PlannedInput {
  std::string name;
  std::vector<std::pair<base::Duration, double>> values;  // by ascending time
};

struct CommandArguments {
  std::string subject;        // DEVICE.REGISTER, id of an anomaly, name of a twin or device
  double value = 0.0;         // write: scaled
  base::Duration duration{};  // shelve, maintenance; what-if: the horizon
  std::string comment;
  std::string stream, spool;  // purge; empty: not given
  bool dead = false;
  bool all = false;
  std::vector<std::string> twins, devices;
  std::vector<PlannedInput> inputs;
  double band = 90.0;
  int points = 100;
};

struct Command {
  std::string verb;
  std::string correlation_id;
  base::WallTime issued_at;
  base::WallTime expires_at;
  std::string by;
  CommandArguments arguments;
};

struct ControlRequest {
  std::string verb;
  CommandArguments arguments;
};

struct CommandFault {
  std::string correlation_id;  // empty: there is none to answer to
  std::string what;
};

[[nodiscard]] std::variant<Command, CommandFault> parse_command(std::string_view verb, std::string_view payload);
[[nodiscard]] std::variant<ControlRequest, CommandFault> parse_control_request(std::string_view line);

enum class CommandResult { accepted, refused, done, failed };
[[nodiscard]] std::string_view to_string(CommandResult result) noexcept;

struct CommandAnswer {
  std::string verb;
  std::string correlation_id;  // empty: through the control socket
  std::string by;
  CommandResult result = CommandResult::refused;
  std::string reason;                                       // empty: none
  std::string subject, comment;                             // of the arguments; empty: none
  base::Duration duration{};                                // 0: none
  std::string tag;                                          // of a write, and the values with it; empty: none
  double value = std::numeric_limits<double>::quiet_NaN();  // ordered
  std::string before, after;                                // JSON, as in samples; empty: not read
  std::string content;                                      // JSON members that belong to the answer alone
};

// What the command asks for, to be answered.
[[nodiscard]] CommandAnswer answer_to(std::string verb, const CommandArguments& arguments);

// twinkeeper.response/1 on the stream response.<correlation id>.
void encode_answer(const CommandAnswer& answer, base::Instant time, signals::Message& out);
// One line of JSON without its end, twinkeeper.control/1.
[[nodiscard]] std::string control_line(const CommandAnswer& answer);
// The same members but `content`, the number of the line and the wall time as one line of JSON without its end: for the
// audit trail.
[[nodiscard]] std::string audit_line(const CommandAnswer& answer, std::uint64_t number, base::WallTime time);

}  // namespace twinkeeper::telemetry
