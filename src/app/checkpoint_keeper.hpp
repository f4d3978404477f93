// Lets twins outlive the service: reads their checkpoints before they start, writes new ones while they run and at
// stop.
//
//   found at start                         the twin
//   same model, same setup, gap short      goes on from where it was, bit for bit
//   another model or setup, gap short      begins at the states of the same name and unit, with twice their variance,
//                                          under the inputs it had; the other states as ever
//   gap longer than max(5 τ, 10 min), or   begins anew
//   of a length that nobody knows, or of
//   more steps than there is time for
//   one that another version has written   begins at the states, as with another model; the file is set aside as
//                                          *.other_version
//   a file that is damaged                 begins anew; the file is set aside as *.damaged
//
// What was missed is predicted through. τ is the slowest time constant of the stable part. The length of a gap is known
// from the monotonic clock of one boot, else from two wall clocks that were both synchronised.
// The twin thread copies what a twin remembers once a minute and with each alarm; one thread of its own writes it, so
// no step waits for a disk. Errors: none; what can't be read or written is told once as an event. Thread rule: the
// constructor's thread, but for the writer inside.
#pragma once

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/checkpoint.hpp"
#include "app/heartbeat.hpp"
#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "app/twin_loop.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

// What one checkpoint is good for.
struct Resumption {
  enum class Kind { whole, states, none };
  Kind kind = Kind::none;
  std::int64_t missed = 0;  // ticks from the checkpoint's to the new tick 0, at least 1; the gap rounded up
  base::Duration shift{};   // of the instants in it: to the grid, never forward on the clock of one boot
  std::string reason;       // of `none`
};

struct PresentTime {
  std::string boot_id;
  base::Instant now;
  base::WallTime wall;
  bool synchronised = false;
  base::Instant origin;  // of the grid that begins
};

[[nodiscard]] Resumption judge_checkpoint(const CheckpointHeader& header, const std::string& setup_hash,
                                          base::Duration period, const model::StateSpace& model,
                                          const PresentTime& present);

class CheckpointKeeper {
 public:
  CheckpointKeeper(const Plan& plan, Outbox& outbox, const base::Clock& clock, std::string boot_id,
                   signals::EventSink& events);

  // Before the loop runs on the grid that begins at `origin`.
  void resume(TwinLoop& loop, base::Instant origin);
  void start(Heartbeat& heartbeat);
  // After the loop has run: the last checkpoints.
  void finish(TwinLoop& loop);

 private:
  void resume(TwinLoop& loop, std::size_t twin, const PresentTime& present, base::Instant deadline);
  // `of`: which checkpoint, and why no more of it can be used.
  void begin_at_states(TwinLoop& loop, std::size_t twin, const Checkpoint& checkpoint, const std::string& of,
                       std::int64_t missed, base::Instant deadline);
  void set_aside(const std::string& file, const std::string& what, std::size_t twin);
  void write_waiting();
  void write(std::size_t twin, const CheckpointRecord& record);
  void tell(signals::EventLevel level, std::size_t twin, std::string code, std::string message);
  [[nodiscard]] std::string file_of(std::size_t twin) const;

  const Plan& plan_;
  Outbox& outbox_;
  const base::Clock& clock_;
  const std::string boot_id_;
  signals::EventSink& events_;
  std::vector<std::string> setup_hashes_;  // per twin
  std::vector<bool> failed_;               // per twin: the newest write
  base::WakeUp bell_;
  std::jthread thread_;
};

}  // namespace twinkeeper::app
