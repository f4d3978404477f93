// The spool's SQLite file: rows in, rows out, nothing decided. Its sources, spool_notes.cpp and spool_backup.cpp among
// them, are the only ones that include SQLite.
//
// One connection, one thread (two writers would meet the WAL-reset fault of SQLite before 3.51.3). WAL, synchronous
// FULL. Every read ends its statement at once: an unfinished one pins the WAL. A transaction that fails is rolled back
// as a whole. Errors: full (disk, quota or max_page_count), corrupt (CORRUPT, NOTADB, what can't be read, unknown version),
// newer_version (nothing of it is changed), io (can't be written: the file itself may be sound), permission_denied,
// unavailable (locked), internal. Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "uplink/gap_list.hpp"
#include "uplink/spool.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace twinkeeper::uplink {

inline constexpr int kMostWorthEvicted = 3;  // above it are gaps

struct SpoolRow {
  std::int64_t row = 0;
  int worth = 0;  // what is evicted first has the least; see spool.cpp
  int message_class = 0;
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::int64_t monotonic_ns = 0;
  std::int64_t wall_ns = 0;  // 0: unknown
  bool clock_synced = false;
  bool retain = false;
  std::string boot_id;
  std::string stream;
  std::string schema;
  std::string body;
  bool intact = true;  // false: the checksum says that the body is not what was stored
};

[[nodiscard]] StoredMessage stored_message(const SpoolRow& row, const std::string& boot_id);

struct DeadRow;  // see spool_reader.hpp

// A row without its body, for eviction.
struct SpoolRowHead {
  std::int64_t row = 0;
  int worth = 0;
  int message_class = 0;
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::int64_t monotonic_ns = 0;
  std::int64_t wall_ns = 0;
  std::string boot_id;
  std::string stream;
  std::uint64_t cost = 0;
};

struct SpoolTotals {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::int64_t last_row = 0;
};

// What a row with a body of that size is counted as: page overhead and the other columns included.
[[nodiscard]] constexpr std::uint64_t row_cost(std::size_t body) { return 64 + body + body / 8; }

class SpoolDatabase {
 public:
  [[nodiscard]] static base::Result<SpoolDatabase> open(const std::string& path, std::uint64_t max_bytes);
  // Beside the process that owns the file: nothing is written. Errors: not_found, too.
  [[nodiscard]] static base::Result<SpoolDatabase> open_read_only(const std::string& path);
  SpoolDatabase(SpoolDatabase&&) noexcept;
  SpoolDatabase& operator=(SpoolDatabase&&) noexcept;
  ~SpoolDatabase();

  [[nodiscard]] base::Status begin();
  [[nodiscard]] base::Status commit();
  void rollback() noexcept;

  // What `read` finds in one short read transaction.
  template <class Read>
  [[nodiscard]] auto snapshot(Read read) -> decltype(read()) {
    if (auto status = begin_reading(); !status.ok()) return std::move(status).error();
    auto found = read();
    if (auto status = commit(); !status.ok()) return std::move(status).error();
    return found;
  }

  [[nodiscard]] base::Status insert(const SpoolRow& row);
  // The cost of the row that is gone, 0 if there was none.
  [[nodiscard]] base::Result<std::uint64_t> remove(std::int64_t row);
  [[nodiscard]] base::Result<std::vector<SpoolRow>> read(std::int64_t after_row, std::size_t limit, std::size_t bytes,
                                                         std::optional<Lane> lane);
  // Heads of up to `limit` rows: of one worth from one end, or of all after `after_row` in ascending order.
  // `beyond`: the row after which to go on.
  [[nodiscard]] base::Result<std::vector<SpoolRowHead>> victims(int worth, bool newest_first, std::size_t limit,
                                                                std::optional<std::int64_t> beyond = {});
  [[nodiscard]] base::Result<std::vector<SpoolRowHead>> oldest(std::int64_t after_row, std::size_t limit);
  [[nodiscard]] base::Result<SpoolTotals> totals();

  [[nodiscard]] base::Status set_number(std::string_view key, std::uint64_t value);
  [[nodiscard]] base::Result<std::optional<std::uint64_t>> number(std::string_view key);
  [[nodiscard]] base::Status set_last(std::uint64_t epoch, const std::string& stream, std::uint64_t seq);
  [[nodiscard]] base::Result<std::map<std::string, std::uint64_t>> last(std::uint64_t epoch);
  [[nodiscard]] base::Status forget_last_before(std::uint64_t epoch);
  // Brings the table up to what the list says; GapList::written() is due when it is committed. What was told is cleared only
  // with the messages that tell it.
  [[nodiscard]] base::Status write_gaps(const GapList& gaps, bool with_clearing);
  [[nodiscard]] base::Result<std::vector<Gap>> gaps();
  // What a query can still find in a file about to be set aside.
  [[nodiscard]] base::Result<std::vector<Gap>> contents();

  // Some rows of `boot_id` behind `after_row` without a trusted wall time: monotonic + offset, trusted from now on. The last
  // of them; absent if there were none.
  [[nodiscard]] base::Result<std::optional<std::int64_t>> fill_wall_times(const std::string& boot_id,
                                                                          std::int64_t offset_ns,
                                                                          std::int64_t after_row);
  // The same for rows of other boots that never learnt theirs: an estimate, not trusted.
  [[nodiscard]] base::Result<std::optional<std::int64_t>> estimate_wall_times(const std::string& boot_id,
                                                                              std::int64_t wall_ns,
                                                                              std::int64_t after_row);
  // Keeps a message that can't be delivered for people to look at.
  [[nodiscard]] base::Status bury(const SpoolRow& row, const std::string& reason, std::int64_t at_ns);
  // Forgets all of those but the newest, `most` and `bytes` at the most.
  [[nodiscard]] base::Status forget_dead(std::int64_t most, std::uint64_t bytes);
  // How many were forgotten.
  [[nodiscard]] base::Result<std::uint64_t> forget_dead_of(const std::optional<std::string>& stream);
  [[nodiscard]] base::Result<std::vector<DeadMessages>> dead();
  [[nodiscard]] base::Result<std::vector<DeadRow>> dead_rows(std::int64_t after_number, std::size_t limit,
                                                             const std::string& boot_id);

  // SQLite's own check, given up (as passed) after `limit`.
  [[nodiscard]] base::Status quick_check(base::Duration limit);
  [[nodiscard]] base::Status checkpoint();
  // To a file that is not there yet (spool_backup.cpp).
  [[nodiscard]] base::Status copy_to(const std::string& file);
  // The file may take no page more than it has, or as many as `max_bytes` of rows need.
  [[nodiscard]] base::Status stop_growth();
  [[nodiscard]] base::Status allow_growth(std::uint64_t max_bytes);
  // The last error was this one.
  [[nodiscard]] bool quota_used_up() const noexcept { return quota_used_up_; }

 private:
  explicit SpoolDatabase(sqlite3* handle) : handle_(handle) {}

  [[nodiscard]] base::Status execute(const char* sql);
  [[nodiscard]] base::Result<sqlite3_stmt*> prepare(const char* sql);
  [[nodiscard]] base::Error error(int code) const;
  [[nodiscard]] base::Status finish(sqlite3_stmt* statement);
  [[nodiscard]] base::Status begin_reading();
  [[nodiscard]] base::Result<int> version();
  [[nodiscard]] base::Status load_names();
  [[nodiscard]] base::Result<std::int64_t> name_number(const std::string& name);
  [[nodiscard]] const std::string& name(std::int64_t number) const;
  [[nodiscard]] SpoolRowHead head(sqlite3_stmt* statement) const;
  [[nodiscard]] base::Result<std::vector<SpoolRowHead>> heads(const char* sql, std::int64_t first, std::size_t limit,
                                                              std::optional<std::int64_t> beyond = {});
  [[nodiscard]] base::Result<std::vector<Gap>> gap_rows(const char* sql);
  [[nodiscard]] base::Result<std::optional<std::int64_t>> update_wall_times(const char* sql, const std::string& boot_id,
                                                                            std::int64_t value, std::int64_t after_row);

  sqlite3* handle_ = nullptr;
  mutable bool quota_used_up_ = false;
  std::map<const char*, sqlite3_stmt*> statements_;  // by the address of their text
  std::map<std::string, std::int64_t> number_of_name_;
  std::map<std::int64_t, std::string> name_of_number_;
};

}  // namespace twinkeeper::uplink
