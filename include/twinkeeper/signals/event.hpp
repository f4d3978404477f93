// An Event: a change of state that a person may want to read about. Raised once per change, never repeated while the
// state lasts; the application turns each into one log line and, where it matters, into `status`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace twinkeeper::signals {

// Of what is told or, of a log, the least that is written. No event is of the level trace: there it means that what
// repeats itself is written, too.
enum class EventLevel : std::uint8_t { trace, debug, info, warning, error };
inline constexpr std::array<std::string_view, 5> kEventLevels{"trace", "debug", "info", "warning",
                                                              "error"};  // their names

struct Event {
  EventLevel level = EventLevel::info;
  std::string subject;  // "uplink", "spool", a device or twin name
  std::string code;     // stable word for machines and tests: "connected", "connection_lost", "corrupt", …
  std::string message;  // one sentence
};

// Where a layer leaves its events. Thread rule: the implementation accepts calls from any thread.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void raise(Event event) = 0;
};

}  // namespace twinkeeper::signals
