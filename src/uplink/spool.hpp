// Spool: the only queue between the gateway and the broker, a SQLite file that survives a power cut.
//
// A message gets its identity here: the epoch of this start and the next sequence number of its stream. Rows wait until
// they are acknowledged. open() starts an epoch larger than any before it (also when the state directory was lost:
// max(previous + 1, seconds since 1970)), durable before it returns. Rows are committed in groups: append() makes
// a row part of the open transaction, commit() makes it durable, together with the last sequence number of each stream.
//
// Bounds: more than max_bytes, or rows older than max_age, are evicted: samples and state first, then metrics, info,
// anomalies; gap messages and rows that are held never. With the policy `newest` a full spool refuses the new row
// instead, unless others are worth less; with `thin` every other one of the older half of the states and samples goes,
// again and again as needed. Every eviction, damaged row and refused message is told by a gap message
// (`P/gap`: stream, epoch, first_seq, last_seq, first_time, last_time, count, reason, stride).
// Damage: an unreadable file is renamed to spool.bad-<time>.db (with -wal and -shm), a new one is started in a new
// epoch, an event is raised. This also happens at run time; a caller sees it as epoch() having grown. On a full disk
// a reserve is given up and the oldest are evicted; if that does not help, and on one that can't be written, the newest
// rows wait in memory (4 MiB) until it can. `figures().trouble` says so while it lasts.
//
// Errors: open() fails only if the directory is missing or can't be written to, or if its file is of a newer version, which
// is left as it is (newer_version).
// Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

// The order of delivery: gaps, anomalies and descriptions, then metrics, then states and samples.
enum class Lane : std::uint8_t { urgent, metrics, bulk };
[[nodiscard]] Lane lane_of(signals::MessageClass message_class) noexcept;

// The epoch before this one and the last sequence number of each stream in it.
struct PreviousEpoch {
  std::uint64_t epoch = 0;
  std::map<std::string, std::uint64_t> last;
};

struct StoredMessage {
  std::int64_t row = 0;  // grows with every append, never reused
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  signals::Message message;  // `time` is meaningful only if `this_boot`
  std::string boot_id;
  bool this_boot = true;
  // When it came to the spool, of a live message; of one read back its `time`. A slow twin's step is computed long after
  // its instant: what counts as live is judged by this.
  base::Instant made{};
  std::optional<base::WallTime> wall;  // absent: the clock has not been synchronised since it was made
  bool clock_synced = false;
  bool kept = true;  // false: it found no room and is gone, told by a gap
};

// Messages in the table `dead`, of one stream and set aside for one reason.
struct DeadMessages {
  std::string stream;
  std::string reason;
  std::uint64_t count = 0;
};

// What a purge takes away, and from where on: a long one can be done piece by piece.
struct PurgeFilter {
  std::optional<std::string> stream;  // absent: all streams
  bool messages = true;
  bool dead = false;
  std::int64_t after = 0;                                      // a row
  std::size_t most = std::numeric_limits<std::size_t>::max();  // rows are looked at, about
};
struct Purged {
  std::uint64_t messages = 0;
  std::uint64_t dead = 0;
  std::optional<std::int64_t> ended_at;  // a row behind which there is more to do
};

struct SpoolFigures {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t dropped_total = 0;
  std::uint64_t appended_total = 0;
  std::uint64_t commits_total = 0;
  base::Duration commit_last{0};
  std::string trouble;  // what the disk suffers from, in words; empty: nothing
};

class Spool {
 public:
  [[nodiscard]] static base::Result<Spool> open(const SpoolSettings& settings, const std::string& gateway_id,
                                                const base::Clock& clock, const std::string& boot_id,
                                                signals::EventSink& events);
  // For a tool while no service runs: no epoch is begun, nothing is set aside. Errors: also what is wrong with the file.
  [[nodiscard]] static base::Result<Spool> open_for_maintenance(const SpoolSettings& settings,
                                                                const std::string& gateway_id, const base::Clock& clock,
                                                                const std::string& boot_id, signals::EventSink& events);
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) noexcept;
  ~Spool();  // commits, checkpoints and marks the stop as clean

  [[nodiscard]] std::uint64_t epoch() const noexcept;
  [[nodiscard]] const PreviousEpoch* previous() const noexcept;  // nullptr: there was none

  // A larger epoch from here on, durable before it returns, as if the spool had been opened anew; rows keep theirs.
  // Errors: what keeps the disk from taking all of the old one; then that goes on.
  [[nodiscard]] base::Status begin_epoch();
  // Another budget, age, policy and interval of commits. The directory stays.
  void set_limits(const SpoolSettings& settings);

  StoredMessage append(signals::Message message);
  // `count` messages of `stream` were lost on their way here, the first and last made at the instants given: the next
  // `count` sequence numbers are theirs, and a gap `overrun` tells it.
  void skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last);

  // Commits if commit_interval has passed since the oldest uncommitted change, or 100 changes wait.
  void commit_if_due();
  void commit();
  // When the next commit falls due; absent if nothing waits.
  [[nodiscard]] std::optional<base::Instant> commit_due() const;

  // Rows of `lane`, or all, after `after_row` in ascending order, at most `limit` and about `max_bytes`. A damaged row
  // is dropped and told.
  [[nodiscard]] std::vector<StoredMessage> next_backlog(std::int64_t after_row, std::size_t limit,
                                                        std::size_t max_bytes = 1u << 20,
                                                        std::optional<Lane> lane = {});
  void acknowledge(const std::vector<std::int64_t>& rows);
  // Puts a message that can never be delivered into the table `dead` and tells the gap `refused`.
  void refuse(const StoredMessage& message, const std::string& reason);
  // Takes messages away, told by a gap `purged`; gap messages and rows that are held stay. The dead were told before.
  [[nodiscard]] base::Result<Purged> purge(const PurgeFilter& filter);
  // A row that is held is on its way to the broker: no bound evicts it, so nothing is both delivered and told as lost.
  void hold(std::int64_t row);
  void release(std::int64_t row);
  void release_all();
  [[nodiscard]] bool held(std::int64_t row) const;
  // Evicts by age and fills in wall times after the clock's first synchronisation. Call about once a second.
  void maintain();
  // Gap messages (and others of the spool's own) appended since the last call, for the caller to send as live.
  [[nodiscard]] std::vector<StoredMessage> take_own_messages();

  // What was set aside and is still kept, newest first.
  [[nodiscard]] const std::vector<DeadMessages>& dead() const noexcept;
  // So many ranges of losses wait to be told that they should become messages, connected or not.
  [[nodiscard]] bool much_to_tell() const noexcept;

  [[nodiscard]] const SpoolFigures& figures() const noexcept;

 private:
  class Implementation;
  explicit Spool(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::uplink
