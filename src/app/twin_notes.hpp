// What of the twin thread's work does not follow from its grid and the samples, for a capture: samples that had not
// come yet at the first deadline not before their own time, and steps given up after a stall. A replay needs no more to
// take every sample at the same deadline again.
//
// Thread rule: one thread makes notes, one reads them. No lock, no allocation. A note that finds no room makes the rest
// worthless: `given_up` from there.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/queue.hpp"

namespace twinkeeper::app {

struct TwinNote {
  enum class Kind : std::uint8_t {
    late_sample,  // the queue's sample of this number (from 0) was taken at `time`
    whole_until,  // all notes up to `time` have been made
    given_up,     // from `time` on nothing can be replayed
  };
  Kind kind = Kind::whole_until;
  std::size_t queue = 0;
  std::uint64_t number = 0;
  base::Instant time;
};

class TwinNotes {
 public:
  explicit TwinNotes(std::size_t queues) : taken_(queues, 0), notes_(kCapacity) {}

  // A sample of `queue` was taken at `deadline`; the deadline at which samples were taken before was `before`.
  void sample_taken(std::size_t queue, base::Instant time, base::Instant deadline, base::Instant before) {
    const std::uint64_t number = taken_[queue]++;
    if (time <= before) push({TwinNote::Kind::late_sample, queue, number, deadline});
  }
  void steps_given_up(base::Instant deadline) { push({TwinNote::Kind::given_up, 0, 0, deadline}); }
  // Everything up to `deadline` has been taken; noted once a second.
  void drained(base::Instant deadline) {
    if (whole_until_ != base::Instant::min() && deadline < whole_until_ + kWholeInterval) return;
    whole_until_ = deadline;
    push({TwinNote::Kind::whole_until, 0, 0, deadline});
  }

  // Reader.
  bool try_pop(TwinNote& note) { return notes_.try_pop(note); }

 private:
  static constexpr std::size_t kCapacity = 4096;
  static constexpr base::Duration kWholeInterval = std::chrono::seconds{1};

  void push(TwinNote note) {
    if (lost_ && notes_.try_push({TwinNote::Kind::given_up, 0, 0, lost_since_})) lost_ = false;
    if (!notes_.try_push(note) && !std::exchange(lost_, true)) lost_since_ = note.time;
  }

  std::vector<std::uint64_t> taken_;  // samples so far, per queue
  base::Instant whole_until_ = base::Instant::min();
  bool lost_ = false;
  base::Instant lost_since_;
  base::BoundedQueue<TwinNote> notes_;
};

}  // namespace twinkeeper::app
