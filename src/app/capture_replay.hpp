// Runs a capture (drivers/capture_file.hpp) through pollers, decoder, validation, synchronisers, twins and diagnosis:
// the objects of the live service, as fast as they go. What comes out is what the service computed, bit by bit.
//
// Each connection's poller runs over what it was told; the twin loop runs on a clock that is always on time and is
// given each sample at the deadline at which the live one took it (app/twin_notes.hpp). The replay ends where the
// capture does, or where it has lost something: then `whole` is false and `end_reason` says why. A poller that parts
// from the recorded one (other settings, another program) ends it too, as `fault`. Errors: not_found, io (the file),
// corrupt (no capture, damaged), invalid_argument (devices that the plan lacks). Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "drivers/capture_file.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::app {

// What a replay yields, in the order of the live service per kind.
class ReplayOutput {
 public:
  virtual ~ReplayOutput() = default;
  virtual void begin(const drivers::CaptureHeader&) {}
  virtual void sample(const signals::Sample&) {}
  virtual void event(base::Instant, const signals::Event&) {}
  virtual void anomaly(const diagnosis::AnomalyEvent&) {}
  virtual void step(std::size_t /*twin*/, const TwinRecord&) {}  // those that were published
};

struct ReplaySummary {
  std::uint64_t turns = 0;
  std::uint64_t samples = 0;
  std::uint64_t samples_bad = 0;
  std::uint64_t steps = 0;  // of all twins, published or not
  base::Duration length{};  // from the grid's origin
  bool whole = true;
  std::string end_reason;            // "stopped", "reload", "limit", "full", "error", or a sentence
  std::optional<std::string> fault;  // where replay and recording parted
};

[[nodiscard]] base::Result<ReplaySummary> replay_capture(const Plan& plan, const std::string& file,
                                                         ReplayOutput& output);

}  // namespace twinkeeper::app
