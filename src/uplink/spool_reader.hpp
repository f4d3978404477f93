// SpoolReader: looks into a spool beside the service that owns it, for people and tools.
//
// The connection is read-only and every read is a short transaction of its own, so that the log is never pinned; nothing
// is written, checkpointed or locked. What it sees is what has been committed (commit_interval), and rows may come and go
// between two reads.
// Errors: not_found (no spool there), permission_denied, corrupt (damaged, or of another version).
// Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "uplink/gap_list.hpp"
#include "uplink/spool.hpp"
#include "uplink/spool_database.hpp"

namespace twinkeeper::uplink {

// What waits of one stream.
struct SpoolStream {
  std::string stream;
  signals::MessageClass message_class = signals::MessageClass::state;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::optional<base::WallTime> oldest;
  std::optional<base::WallTime> newest;
};

struct SpoolStatus {
  std::uint64_t epoch = 0;
  std::vector<SpoolStream> streams;  // in the order of delivery, then by name
  std::vector<DeadMessages> dead;
  std::vector<Gap> gaps;         // told by no message yet
  std::uint64_t file_bytes = 0;  // of spool.db and its log
};

struct DeadRow {
  std::int64_t number = 0;
  std::string reason;
  base::WallTime at{};
  StoredMessage message;
};

class SpoolReader {
 public:
  [[nodiscard]] static base::Result<SpoolReader> open(const std::string& directory, std::string boot_id);

  [[nodiscard]] base::Result<SpoolStatus> status();
  // Up to `limit` rows after `after_row`; damaged ones are left out. `after_row` becomes the last one looked at; an
  // empty result with it unchanged is the end.
  [[nodiscard]] base::Result<std::vector<StoredMessage>> messages(std::int64_t& after_row, std::size_t limit);
  [[nodiscard]] base::Result<std::vector<DeadRow>> dead(std::int64_t after_number, std::size_t limit);

 private:
  SpoolReader(SpoolDatabase database, std::string directory, std::string boot_id);

  SpoolDatabase database_;
  std::string directory_;
  std::string boot_id_;
};

}  // namespace twinkeeper::uplink
