// What stands behind Spool: rows not committed yet in memory, the rest in the database.
//
// A row that is acknowledged before its commit is never written: with the broker there, the disk sees the sequence
// numbers only. Everything that can fail ends in fail(), which decides between evicting, setting the file aside and
// going on in memory.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "uplink/gap_list.hpp"
#include "uplink/spool.hpp"
#include "uplink/spool_database.hpp"
#include "uplink/spool_files.hpp"

namespace twinkeeper::uplink {

class Spool::Implementation {
 public:
  Implementation(SpoolSettings settings, std::string gateway_id, const base::Clock& clock, std::string boot_id,
                 signals::EventSink& events, SpoolLock lock, bool maintenance);
  ~Implementation();
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  [[nodiscard]] base::Status renew_epoch();
  void set_limits(const SpoolSettings& settings);
  StoredMessage append(signals::Message message);
  void skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last);
  void commit_if_due();
  void commit();
  [[nodiscard]] std::optional<base::Instant> commit_due() const;
  [[nodiscard]] std::vector<StoredMessage> next_backlog(std::int64_t after_row, std::size_t limit, std::size_t bytes,
                                                        std::optional<Lane> lane);
  void acknowledge(const std::vector<std::int64_t>& rows);
  void refuse(const StoredMessage& message, const std::string& reason);
  void maintain();
  [[nodiscard]] base::Result<Purged> purge(const PurgeFilter& filter);
  [[nodiscard]] const std::string& trouble() const noexcept { return figures_.trouble; }
  // The file is of a newer version and was left alone; nothing else may be called.
  [[nodiscard]] const std::optional<base::Error>& newer() const noexcept { return newer_; }
  [[nodiscard]] std::vector<StoredMessage> take_own_messages();
  void hold(std::int64_t row) { held_.insert(row); }
  void release(std::int64_t row) { held_.erase(row); }
  void release_all() { held_.clear(); }
  [[nodiscard]] bool held(std::int64_t row) const { return held_.contains(row); }

  [[nodiscard]] const std::vector<DeadMessages>& dead() const noexcept { return dead_; }
  [[nodiscard]] bool much_to_tell() const noexcept { return gaps_.size() > GapList::kMostRanges; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] const PreviousEpoch* previous() const noexcept { return previous_ ? &*previous_ : nullptr; }
  [[nodiscard]] const SpoolFigures& figures() const noexcept { return figures_; }

 private:
  struct Pending {
    SpoolRow row;
    std::uint64_t cost = 0;
    bool gone = false;  // acknowledged or evicted before it was written
  };
  struct Sequence {
    std::uint64_t seq = 0;
    bool dirty = false;
  };

  // spool.cpp: epochs, failures
  void open_database();
  [[nodiscard]] base::Status adopt(SpoolDatabase& database);
  [[nodiscard]] base::Status start_epoch(SpoolDatabase& database, std::uint64_t known);
  void start_epoch_in_memory(std::uint64_t known);
  void begin_epoch(std::uint64_t epoch);
  [[nodiscard]] std::uint64_t next_epoch(std::uint64_t known) const;
  void set_aside(const base::Error& cause);
  void fail(const base::Error& cause);
  void raise(signals::EventLevel level, const char* code, std::string message);
  void trouble(const char* code, const std::string& message);
  void trouble_over();

  // spool_rows.cpp: rows
  [[nodiscard]] std::uint64_t most_dead_bytes() const;
  [[nodiscard]] bool make_room(int attempt);
  bool grow_again();
  void disk_was_full();
  [[nodiscard]] base::Status write();
  void written();
  [[nodiscard]] bool dirty() const noexcept;
  [[nodiscard]] Pending* find_pending(std::int64_t row);
  void drop_pending(Pending& pending);
  void fill_wall_times();
  [[nodiscard]] bool go_on(std::optional<std::int64_t>& cursor, base::Result<std::optional<std::int64_t>> portion);
  void refresh_rows_since();

  // spool_eviction.cpp
  void keep_bounds();
  [[nodiscard]] bool refuses(int worth, std::uint64_t cost);
  void evict(std::uint64_t target, GapReason reason, int most_worth);
  [[nodiscard]] bool evict_from_database(int worth, std::uint64_t target, GapReason reason);
  void thin(std::uint64_t target);
  void evict_from_memory(int worth, std::uint64_t target, GapReason reason);
  [[nodiscard]] bool remove_rows(const std::vector<SpoolRowHead>& rows, GapReason reason);
  void evict_aged();
  [[nodiscard]] bool aged(std::int64_t monotonic_ns, std::int64_t wall_ns, bool this_boot) const;
  [[nodiscard]] Gap gap_of(const std::string& stream, std::uint64_t epoch, std::uint64_t seq, std::int64_t monotonic_ns,
                           std::int64_t wall_ns, bool this_boot, GapReason reason) const;

  SpoolSettings settings_;
  const std::string gateway_id_;
  const base::Clock& clock_;
  const std::string boot_id_;
  signals::EventSink& events_;
  SpoolLock lock_;
  const SpoolReserve reserve_;
  const bool maintenance_;  // by a tool: the epoch stays, and a file that is damaged

  std::optional<SpoolDatabase> database_;  // absent: memory only until it can be opened again
  std::optional<base::Error> newer_;
  std::uint64_t epoch_ = 0;
  std::optional<PreviousEpoch> previous_;
  std::map<std::string, Sequence> sequences_;
  std::unordered_set<std::int64_t> held_;
  bool refusing_ = false;                      // with the policy `newest`
  std::array<std::int64_t, 48> thinned_to_{};  // with the policy `thin`, by level: the row up to which it is done
  std::int64_t next_row_ = 1;                  // of the next row that is kept

  std::deque<Pending> pending_;  // ascending row numbers
  std::size_t pending_kept_ = 0;
  std::uint64_t pending_bytes_ = 0;
  std::set<std::int64_t> deletes_;  // acknowledged rows still in the database; neighbours share pages
  GapList gaps_;
  bool sequences_dirty_ = false;
  bool with_sequences_ = true;  // the transaction being written
  bool unsynchronised_rows_ = true;
  std::optional<std::int64_t>
      filled_to_;  // rows of this boot in the file have their wall times up to here; absent: all
  std::optional<std::int64_t> estimated_to_;  // the same for older ones
  std::int64_t estimate_ = 0;

  struct Burial {
    SpoolRow row;
    std::string reason;
  };
  std::vector<Burial> burials_;
  std::uint64_t burial_bytes_ = 0;
  std::vector<DeadMessages> dead_;
  SpoolTotals removed_;  // by the transaction being written

  std::optional<base::Instant> rows_since_;       // oldest row or acknowledgement that waits for its commit
  std::optional<base::Instant> sequences_since_;  // the same for sequence numbers alone, which are in no hurry
  base::Instant retry_at_{};
  base::Instant set_aside_at_{};
  bool growth_stopped_ = false;
  bool stopped_by_quota_ = false;
  std::size_t deletes_written_ = 0;       // the first of them
  std::size_t rows_written_ = 0;          // by the transaction being written
  std::optional<base::Instant> full_at_;  // the disk had no room, which eviction helped
  std::string trouble_;                   // code of the trouble that was told and lasts
  SpoolFigures figures_;
};

}  // namespace twinkeeper::uplink
