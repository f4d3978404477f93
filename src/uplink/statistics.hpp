// Counters and gauges of the uplink, written by the spool thread and the connection thread.
//
// Thread rule: every member may be read from any thread. Totals restart with the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/duration_histogram.hpp"

namespace twinkeeper::uplink {

// A text that one thread writes and another reads; empty: nothing to say.
class Notice {
 public:
  void set(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (text_ != text) text_ = text;
  }
  [[nodiscard]] std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

struct Statistics {
  // spool thread
  std::atomic<std::uint64_t> spool_messages{0};
  std::atomic<std::uint64_t> spool_bytes{0};
  std::atomic<std::uint64_t> appended_total{0};
  std::atomic<std::uint64_t> dropped_total{0};  // evicted, refused or damaged: each told by a gap message
  std::atomic<std::uint64_t> refused_total{0};
  Notice refused;        // which topics, why, and how many messages are kept
  Notice spool_trouble;  // what the disk suffers from
  std::atomic<std::uint64_t> commits_total{0};
  base::DurationHistogram commit_seconds;
  std::atomic<std::uint64_t> published_total{0};     // handed to the connection
  std::atomic<std::uint64_t> acknowledged_total{0};  // PUBACK received
  std::atomic<std::uint64_t> in_flight{0};
  std::atomic<std::int64_t> spool_heartbeat_ns{0};  // Instant of the last turn of the spool thread, since its epoch
  // connection thread
  std::atomic<bool> connected{false};
  std::atomic<std::uint64_t> connects_total{0};    // CONNACKs with success
  std::atomic<std::uint64_t> reconnects_total{0};  // those after the first
  std::atomic<std::uint64_t> connect_failures_total{0};
  std::atomic<std::size_t> endpoint{0};  // the one in use or being tried, of the configured ones
  std::atomic<std::int64_t> connection_heartbeat_ns{0};

  static void beat(std::atomic<std::int64_t>& heartbeat, base::Instant now) noexcept {
    heartbeat.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
};

}  // namespace twinkeeper::uplink
