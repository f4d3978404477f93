#include "uplink/lanes.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::uplink {
namespace {

constexpr int kReadsAtOnce = 4;  // so that a long stretch of rows that must wait does not keep live messages waiting

}  // namespace

void Lanes::start() { reread(); }

void Lanes::clear() {
  for (Waiting& waiting : waiting_) waiting = {};
  spool_.release_all();
}

void Lanes::reread() {
  for (Waiting& waiting : waiting_) {
    waiting.cursor = 0;
    waiting.behind = true;
  }
}

void Lanes::unread() {
  for (Waiting& waiting : waiting_) {
    for (const StoredMessage& message : waiting.chunk) spool_.release(message.row);
    waiting.chunk.clear();
  }
  reread();
}

void Lanes::offer(StoredMessage message) {
  Waiting& waiting = at(lane_of(message.message.message_class));
  if (waiting.live.size() >= kLiveMost) {
    leave_behind(message);
    return;
  }
  spool_.hold(message.row);
  waiting.live.push_back(std::move(message));
}

void Lanes::leave_behind(const StoredMessage& message) {
  Waiting& waiting = at(lane_of(message.message.message_class));
  waiting.cursor = std::min(waiting.cursor, message.row - 1);
  waiting.behind = true;
  spool_.release(message.row);
  // Rows after it are read again behind it.
  std::erase_if(waiting.chunk, [&](const StoredMessage& later) {
    if (later.row < message.row) return false;
    spool_.release(later.row);
    return true;
  });
}

bool Lanes::no_live() const {
  return std::all_of(waiting_.begin(), waiting_.end(), [](const Waiting& waiting) { return waiting.live.empty(); });
}

bool Lanes::load(Lane lane, const std::function<bool(const StoredMessage&)>& passes) {
  Waiting& waiting = at(lane);
  for (int reads = 0; waiting.behind && waiting.chunk.empty() && reads < kReadsAtOnce; ++reads) {
    std::vector<StoredMessage> rows = spool_.next_backlog(waiting.cursor, kChunkRows, kChunkBytes, lane);
    if (rows.empty()) {
      waiting.behind = false;
      break;
    }
    waiting.cursor = rows.back().row;
    for (StoredMessage& row : rows) {
      if (spool_.held(row.row) || !passes(row)) continue;
      spool_.hold(row.row);
      waiting.chunk.push_back(std::move(row));
    }
  }
  return !waiting.chunk.empty();
}

}  // namespace twinkeeper::uplink
