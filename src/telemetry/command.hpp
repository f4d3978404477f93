// Commands from outside: the form of a request on P/command/<verb>, and the answer on P/response/<correlation id>.
// Whether a request is obeyed is the application's decision.
//
// A request is one JSON object of at most 64 KiB and 16 levels with exactly the members `schema`
// (twinkeeper.command/1), `correlation_id`, `issued_at`, `expires_at`, `by` and `arguments`; of `write` the arguments
// are `tag` and `value` (a number, or true and false for a coil). Unknown, missing, repeated and mistyped members are
// faults. Errors: a CommandFault, with the correlation id if it could be read. Thread rule: free functions. Allocates.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <variant>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

struct Command {
  std::string verb;
  std::string correlation_id;
  base::WallTime issued_at;
  base::WallTime expires_at;
  std::string by;
  std::string tag;     // write: DEVICE.REGISTER
  double value = 0.0;  // write: scaled
};

struct CommandFault {
  std::string correlation_id;  // empty: there is none to answer to
  std::string what;
};

[[nodiscard]] std::variant<Command, CommandFault> parse_command(std::string_view verb, std::string_view payload);

enum class CommandResult { refused, done, failed };
[[nodiscard]] std::string_view to_string(CommandResult result) noexcept;

struct CommandAnswer {
  std::string verb;
  std::string correlation_id;
  std::string by;
  CommandResult result = CommandResult::refused;
  std::string reason;                                       // empty: none
  std::string tag;                                          // of a write, and the values with it; empty: none
  double value = std::numeric_limits<double>::quiet_NaN();  // ordered
  std::string before, after;                                // JSON, as in samples; empty: not read
};

// twinkeeper.response/1 on the stream response.<correlation id>.
void encode_answer(const CommandAnswer& answer, base::Instant time, signals::Message& out);
// The same members and the wall time as one line of JSON, without its end: for the audit trail.
[[nodiscard]] std::string audit_line(const CommandAnswer& answer, base::WallTime time);

}  // namespace twinkeeper::telemetry
