// Lanes: what waits to be sent on a connection, by urgency: gaps, anomalies and descriptions before metrics before states
// and samples. In each lane live messages, handed over as they are made, stand before the backlog, which is read ahead
// from the spool in chunks; both ascend within a stream.
//
// What stands here is held in the spool: no bound evicts it. Live messages beyond kLiveMost become backlog.
// Thread rule: one thread. Allocates.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>

#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

inline constexpr std::array<Lane, 3> kLanes{Lane::urgent, Lane::metrics, Lane::bulk};

class Lanes {
 public:
  explicit Lanes(Spool& spool) : spool_(spool) {}

  void start();  // all that is in the spool is backlog
  void clear();  // and is held no longer
  // Rows that were passed over may go now: they are looked for from the beginning.
  void reread();

  // What was read ahead goes back to the spool, to be looked for again.
  void unread();

  void offer(StoredMessage message);
  // It becomes backlog, in its place.
  void leave_behind(const StoredMessage& message);

  [[nodiscard]] std::deque<StoredMessage>& live(Lane lane) { return at(lane).live; }
  [[nodiscard]] std::deque<StoredMessage>& backlog(Lane lane) { return at(lane).chunk; }
  [[nodiscard]] bool backlog_waits(Lane lane) const { return at(lane).behind || !at(lane).chunk.empty(); }
  [[nodiscard]] bool no_live() const;
  // Reads ahead if nothing of the lane's backlog is here; false if there is none, or not yet. What `passes` answers
  // with false for stays where it is.
  bool load(Lane lane, const std::function<bool(const StoredMessage&)>& passes);

  static constexpr std::size_t kLiveMost = 1000;  // in each lane
  static constexpr std::size_t kChunkRows = 2000;
  static constexpr std::size_t kChunkBytes = 1u << 20;

 private:
  struct Waiting {
    std::deque<StoredMessage> live;
    std::deque<StoredMessage> chunk;
    std::int64_t cursor = 0;  // rows up to here are held, gone or passed over
    bool behind = false;      // there may be rows after the cursor
  };
  [[nodiscard]] Waiting& at(Lane lane) { return waiting_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] const Waiting& at(Lane lane) const { return waiting_[static_cast<std::size_t>(lane)]; }

  Spool& spool_;
  std::array<Waiting, kLanes.size()> waiting_;
};

}  // namespace twinkeeper::uplink
