// Lines that must be found again later: one JSON object each, appended to a private file, numbered without a gap.
//
// The number goes on from the last line found at the first append, so it outlives restarts; a line that could not be
// written takes none. At 1 MiB the file becomes FILE.1 (an older one of that name goes) and a new one is begun, so it
// never takes more than 2 MiB. A line that can't be written is told once, until one can be again.
// Thread rule: one thread. Waits for the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class AuditTrail {
 public:
  // `events` outlives the trail. Nothing is opened before the first line.
  AuditTrail(std::string file, signals::EventSink& events) : file_(std::move(file)), events_(events) {}

  // `line` is made with its number, which it holds as the member "number" first.
  void append(const std::function<std::string(std::uint64_t number)>& line);

 private:
  const std::string file_;
  signals::EventSink& events_;
  std::optional<std::uint64_t> last_;
  bool failed_ = false;
};

}  // namespace twinkeeper::app
