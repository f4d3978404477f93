// The correlation ids of commands that could still be obeyed if they came again, kept beyond a restart.
//
// One line per id, with the wall time until when it is remembered, appended and synced before the command is obeyed; the
// file is written anew at the start and when most of it has run out. If there was no whole file at the start, nobody
// knows what was obeyed before: knows_the_past() is false then.
// Errors: what can't be written is told once, until it can be again. Thread rule: one thread. Waits for the disk.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class ReplayWindow {
 public:
  static constexpr std::size_t kMost = 10'000;

  // Reads the file; no id in it is remembered for longer than `longest` from now, whatever the clock says.
  ReplayWindow(std::string file, base::Duration longest, const base::Clock& clock, signals::EventSink& events);

  enum class Answer { fresh, repeated, full, failed };
  // Remembers the id, if it is fresh; failed: it is, but only until the next restart.
  Answer see(const std::string& id, base::Instant until);
  [[nodiscard]] bool knows_the_past() const { return knows_the_past_; }

 private:
  void read(base::Duration longest);
  void append(const std::string& id, base::Instant until);
  void write_anew();
  [[nodiscard]] std::string line(const std::string& id, base::Instant until) const;
  void tell(const std::string& what);

  const std::string file_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  std::map<std::string, base::Instant> ids_;  // until when
  std::size_t lines_ = 0;                     // in the file
  bool knows_the_past_ = false;
  bool failed_ = false;
};

}  // namespace twinkeeper::app
