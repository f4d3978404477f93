// What the spool keeps beside its rows: numbers, last sequence numbers, gaps, wall times, the dead.
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "uplink/spool_database.hpp"
#include "uplink/spool_reader.hpp"
#include "uplink/sqlite_values.hpp"

namespace twinkeeper::uplink {

using namespace sqlite;

namespace {

constexpr const char* kSetNumber = "INSERT OR REPLACE INTO meta VALUES(?1,?2)";
constexpr const char* kNumber = "SELECT value FROM meta WHERE key=?1";
constexpr const char* kSetLast = "INSERT OR REPLACE INTO last VALUES(?1,?2,?3)";
constexpr const char* kLast = "SELECT stream, seq FROM last WHERE epoch=?1";
constexpr const char* kForgetLast = "DELETE FROM last WHERE epoch<?1";
constexpr const char* kClearGaps = "DELETE FROM gap";
constexpr const char* kWriteGap =
    "INSERT OR REPLACE INTO gap(rowid, stream, epoch, first_seq, last_seq, first_time, last_time, count, reason, "
    "stride) "
    "VALUES(?9,?1,?2,?3,?4,?5,?6,?7,?8,?10)";
constexpr const char* kGaps =
    "SELECT stream, epoch, first_seq, last_seq, first_time, last_time, count, reason, stride FROM gap";
constexpr const char* kContents =
    "SELECT text, epoch, min(seq), max(seq), nullif(min(wall_ns), 0), nullif(max(wall_ns), 0), count(*), 3, 1 "
    "FROM message JOIN name ON number=stream GROUP BY stream, epoch";
constexpr const char* kFillWall =
    "UPDATE message SET wall_ns=monotonic_ns+?2, clock_synced=1 WHERE row IN (SELECT row FROM message WHERE row>?3 AND "
    "clock_synced=0 AND boot=?1 ORDER BY row LIMIT ?4) RETURNING row";
constexpr const char* kEstimateWall =
    "UPDATE message SET wall_ns=?2 WHERE row IN (SELECT row FROM message WHERE row>?3 AND wall_ns=0 AND boot<>?1 "
    "ORDER BY row LIMIT ?4) RETURNING row";
constexpr std::int64_t kRowsAtOnce = 500;
constexpr const char* kBury =
    "INSERT INTO dead(reason, at_ns, stream, epoch, seq, schema, body, wall_ns, clock_synced, boot) "
    "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)";
constexpr const char* kDeadRows =
    "SELECT number, reason, at_ns, stream, epoch, seq, schema, body, wall_ns, clock_synced, boot FROM dead "
    "WHERE number>?1 ORDER BY number LIMIT ?2";
constexpr const char* kForgetDead =
    "DELETE FROM dead WHERE number <= (SELECT max(number) FROM (SELECT number, row_number() OVER newest AS place, "
    "sum(length(body)) OVER newest AS bytes FROM dead WINDOW newest AS (ORDER BY number DESC)) "
    "WHERE place > ?1 OR bytes > ?2)";
constexpr const char* kForgetDeadOf = "DELETE FROM dead WHERE ?1 OR stream=?2";
constexpr const char* kDead =
    "SELECT stream, reason, count(*), max(number) FROM dead GROUP BY stream, reason ORDER BY 4 DESC";

Gap gap_of(sqlite3_stmt* statement) {
  Gap gap;
  gap.stream = text(statement, 0);
  gap.epoch = natural(statement, 1);
  gap.first_seq = natural(statement, 2);
  gap.last_seq = natural(statement, 3);
  gap.first_time = time(statement, 4);
  gap.last_time = time(statement, 5);
  gap.count = natural(statement, 6);
  gap.reason = static_cast<GapReason>(std::clamp(sqlite3_column_int(statement, 7), 0, 6));
  gap.stride = std::max<std::uint64_t>(1, natural(statement, 8));
  return gap;
}

}  // namespace

base::Status SpoolDatabase::set_number(std::string_view key, std::uint64_t value) {
  auto statement = prepare(kSetNumber);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, key);
  bind(statement.value(), 2, value);
  return finish(statement.value());
}

base::Result<std::optional<std::uint64_t>> SpoolDatabase::number(std::string_view key) {
  auto statement = prepare(kNumber);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, key);
  std::optional<std::uint64_t> value;
  const int code = sqlite3_step(statement.value());
  if (code == SQLITE_ROW) value = natural(statement.value(), 0);
  std::optional<base::Error> failure;
  if (code != SQLITE_ROW && code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return value;
}

base::Status SpoolDatabase::set_last(std::uint64_t epoch, const std::string& stream, std::uint64_t seq) {
  auto statement = prepare(kSetLast);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, epoch);
  bind(statement.value(), 2, std::string_view(stream));
  bind(statement.value(), 3, seq);
  return finish(statement.value());
}

base::Result<std::map<std::string, std::uint64_t>> SpoolDatabase::last(std::uint64_t epoch) {
  auto statement = prepare(kLast);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, epoch);
  std::map<std::string, std::uint64_t> found;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) {
    found[text(statement.value(), 0)] = natural(statement.value(), 1);
  }
  sqlite3_reset(statement.value());
  if (code != SQLITE_DONE) return error(code);
  return found;
}

base::Status SpoolDatabase::forget_last_before(std::uint64_t epoch) {
  auto statement = prepare(kForgetLast);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, epoch);
  return finish(statement.value());
}

base::Status SpoolDatabase::write_gaps(const GapList& gaps, bool with_clearing) {
  if (gaps.cleared() && with_clearing) {
    auto clear = prepare(kClearGaps);
    if (!clear.ok()) return clear.error();
    if (auto status = finish(clear.value()); !status.ok()) return status;
  }
  auto statement = prepare(kWriteGap);
  if (!statement.ok()) return statement.error();
  for (const auto& [number, gap] : gaps.changed()) {
    bind(statement.value(), 1, std::string_view(gap.stream));
    bind(statement.value(), 2, gap.epoch);
    bind(statement.value(), 3, gap.first_seq);
    bind(statement.value(), 4, gap.last_seq);
    bind_time(statement.value(), 5, gap.first_time);
    bind_time(statement.value(), 6, gap.last_time);
    bind(statement.value(), 7, gap.count);
    bind(statement.value(), 8, static_cast<std::int64_t>(gap.reason));
    bind(statement.value(), 9, number);
    bind(statement.value(), 10, gap.stride);
    if (auto status = finish(statement.value()); !status.ok()) return status;
  }
  return base::Success{};
}

base::Result<std::vector<Gap>> SpoolDatabase::gap_rows(const char* sql) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.error();
  std::vector<Gap> found;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) found.push_back(gap_of(statement.value()));
  std::optional<base::Error> failure;
  if (code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return found;
}

base::Result<std::vector<Gap>> SpoolDatabase::gaps() { return gap_rows(kGaps); }
base::Result<std::vector<Gap>> SpoolDatabase::contents() { return gap_rows(kContents); }

base::Result<std::optional<std::int64_t>> SpoolDatabase::update_wall_times(const char* sql, const std::string& boot_id,
                                                                           std::int64_t value, std::int64_t after_row) {
  auto boot = name_number(boot_id);
  if (!boot.ok()) return boot.error();
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, boot.value());
  bind(statement.value(), 2, value);
  bind(statement.value(), 3, after_row);
  bind(statement.value(), 4, kRowsAtOnce);
  std::optional<std::int64_t> last;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) {
    last = std::max(last.value_or(after_row), static_cast<std::int64_t>(sqlite3_column_int64(statement.value(), 0)));
  }
  std::optional<base::Error> failure;
  if (code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return last;
}

base::Result<std::optional<std::int64_t>> SpoolDatabase::fill_wall_times(const std::string& boot_id,
                                                                         std::int64_t offset_ns,
                                                                         std::int64_t after_row) {
  return update_wall_times(kFillWall, boot_id, offset_ns, after_row);
}

base::Result<std::optional<std::int64_t>> SpoolDatabase::estimate_wall_times(const std::string& boot_id,
                                                                             std::int64_t wall_ns,
                                                                             std::int64_t after_row) {
  return update_wall_times(kEstimateWall, boot_id, wall_ns, after_row);
}

base::Status SpoolDatabase::bury(const SpoolRow& row, const std::string& reason, std::int64_t at_ns) {
  auto statement = prepare(kBury);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, std::string_view(reason));
  bind(statement.value(), 2, at_ns);
  bind(statement.value(), 3, std::string_view(row.stream));
  bind(statement.value(), 4, row.epoch);
  bind(statement.value(), 5, row.seq);
  bind(statement.value(), 6, std::string_view(row.schema));
  bind_blob(statement.value(), 7, row.body);
  bind(statement.value(), 8, row.wall_ns);
  bind(statement.value(), 9, static_cast<std::int64_t>(row.clock_synced));
  bind(statement.value(), 10, std::string_view(row.boot_id));
  return finish(statement.value());
}

base::Status SpoolDatabase::forget_dead(std::int64_t most, std::uint64_t bytes) {
  auto statement = prepare(kForgetDead);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, most);
  bind(statement.value(), 2, bytes);
  return finish(statement.value());
}

base::Result<std::uint64_t> SpoolDatabase::forget_dead_of(const std::optional<std::string>& stream) {
  auto statement = prepare(kForgetDeadOf);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, static_cast<std::int64_t>(stream ? 0 : 1));
  bind(statement.value(), 2, std::string_view(stream ? *stream : std::string_view{}));
  if (auto status = finish(statement.value()); !status.ok()) return std::move(status).error();
  return static_cast<std::uint64_t>(sqlite3_changes64(handle_));
}

base::Result<std::vector<DeadRow>> SpoolDatabase::dead_rows(std::int64_t after_number, std::size_t limit,
                                                            const std::string& boot_id) {
  auto statement = prepare(kDeadRows);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, after_number);
  bind(statement.value(), 2, static_cast<std::int64_t>(limit));
  std::vector<DeadRow> found;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) {
    SpoolRow row;
    row.stream = text(statement.value(), 3);
    row.epoch = natural(statement.value(), 4);
    row.seq = natural(statement.value(), 5);
    row.schema = text(statement.value(), 6);
    row.body = text(statement.value(), 7);
    row.wall_ns = sqlite3_column_int64(statement.value(), 8);
    row.clock_synced = sqlite3_column_int(statement.value(), 9) != 0;
    row.boot_id = text(statement.value(), 10);
    found.push_back({sqlite3_column_int64(statement.value(), 0), text(statement.value(), 1),
                     base::WallTime{base::Duration{sqlite3_column_int64(statement.value(), 2)}},
                     stored_message(row, boot_id)});
  }
  std::optional<base::Error> failure;
  if (code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return found;
}

base::Result<std::vector<DeadMessages>> SpoolDatabase::dead() {
  auto statement = prepare(kDead);
  if (!statement.ok()) return statement.error();
  std::vector<DeadMessages> found;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) {
    found.push_back({text(statement.value(), 0), text(statement.value(), 1), natural(statement.value(), 2)});
  }
  std::optional<base::Error> failure;
  if (code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return found;
}

}  // namespace twinkeeper::uplink
