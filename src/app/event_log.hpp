// Where every layer's events end: one log line each on stderr, and the last error per subject for `status`.
//
// Under systemd each line starts with the journal's priority prefix; elsewhere with the time. Control bytes of outside
// text (host names, broker reasons) are escaped, so that nobody can forge a line. A subject and code that repeat more
// often than ten times a minute are counted instead of written; the count is told with the next line. What is below the
// level in force is not written: the configured one, or another for a while.
// Thread rule: raise() may be called from any thread but never by the twin's step.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

[[nodiscard]] std::string escape_control_bytes(std::string_view text);

class EventLog final : public signals::EventSink {
 public:
  explicit EventLog(const base::Clock& clock);

  void raise(signals::Event event) override;
  void info(std::string_view subject, std::string message);
  void warning(std::string_view subject, std::string message);
  // A new level ends whatever other one was set.
  void configure(signals::EventLevel level);
  // For so long; zero: until configure() brings a new one or the process ends.
  void set_level(signals::EventLevel level, base::Duration length);
  // Of a JSON object: `level` in force, `configured`, and `until` when the former holds, null if that is open.
  [[nodiscard]] std::string level_members();
  // The newest lines that were written, oldest first, at most 500 of at most 1000 bytes; with their time.
  [[nodiscard]] std::vector<std::string> newest(std::size_t most);

 private:
  struct Window {
    base::Instant start;
    unsigned lines = 0;
    unsigned suppressed = 0;
  };

  struct OtherLevel {
    signals::EventLevel level;
    std::optional<base::Instant> until;
  };
  [[nodiscard]] signals::EventLevel level_locked(base::Instant now);

  const base::Clock& clock_;
  std::mutex mutex_;
  signals::EventLevel configured_ = signals::EventLevel::info;
  std::optional<OtherLevel> other_;
  std::map<std::string, Window> windows_;  // by subject and code; both come from a closed set of words
  std::deque<std::string> newest_;
};

}  // namespace twinkeeper::app
