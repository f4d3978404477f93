// What crosses from the twin thread to the spool thread (checkpoints: to their own): recycled records, so that the twin
// thread neither locks nor waits, nor allocates but when the spool thread has fallen behind further than ever before. A
// full queue refuses the newest record; the next one that finds room says how many were refused before it, and a gap
// tells it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "app/plan.hpp"
#include "telemetry/state_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/device_snapshot.hpp"

namespace twinkeeper::app {

// Records that found no room, directly before another record of the same queue.
struct Unsent {
  std::uint64_t count = 0;
  base::Instant first;
  base::Instant last;
};

struct TwinRecord {
  estimation::TwinStep step;
  telemetry::AnomalySummary anomalies;
  Unsent unsent;
};

struct ModeChange {
  std::size_t twin = 0;
  std::optional<estimation::Mode> before;  // nothing: its first step
  estimation::Mode mode = estimation::Mode::initializing;
};

struct SnapshotRecord {
  signals::DeviceSnapshot snapshot;
  Unsent unsent;
};

struct CheckpointRecord {
  std::vector<std::byte> archive;
  estimation::TwinStep step;  // the newest in it
  std::int64_t tick = 0;      // of it, as the run counts
};

template <class Record>
class OutboxQueue {
 public:
  OutboxQueue(std::size_t capacity, std::function<Record()> build) : queue_(capacity, std::move(build)) {}

  // Producer: a record to fill and send, or nullptr; then what happened at `time` goes untold until the next one.
  Record* try_acquire(base::Instant time) {
    Record* record = queue_.try_acquire();
    if (record == nullptr) {
      if (unsent_.count++ == 0) unsent_.first = time;
      unsent_.last = time;
      return nullptr;
    }
    record->unsent = std::exchange(unsent_, {});
    return record;
  }
  void send(Record* record) { queue_.send(record); }
  // Consumer.
  Record* try_receive() { return queue_.try_receive(); }
  void recycle(Record* record) { queue_.recycle(record); }

  [[nodiscard]] std::uint64_t dropped() const { return queue_.dropped(); }

 private:
  base::RecyclingQueue<Record> queue_;
  Unsent unsent_;  // the producer's
};

struct Outbox {
  // `keeps_checkpoints`: somebody takes them.
  explicit Outbox(const Plan& plan, bool keeps_checkpoints = false);

  std::vector<std::unique_ptr<OutboxQueue<TwinRecord>>> steps;          // per twin
  std::vector<std::unique_ptr<OutboxQueue<SnapshotRecord>>> snapshots;  // per device
  base::BoundedQueue<diagnosis::AnomalyEvent> anomalies;
  base::BoundedQueue<ModeChange> modes;
  std::vector<std::unique_ptr<base::RecyclingQueue<CheckpointRecord>>> checkpoints;  // per twin; empty: none are kept
};

}  // namespace twinkeeper::app
