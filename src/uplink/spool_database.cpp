#include "uplink/spool_database.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

#include "uplink/crc32c.hpp"
#include "uplink/sqlite_values.hpp"

namespace twinkeeper::uplink {

using namespace sqlite;

namespace {

constexpr int kSchemaVersion = 2;
constexpr int kMostVersion = 1000;  // beyond it a number is no version, but damage
constexpr std::uint64_t kPageSize = 4096;

// Boots, streams and schemas repeat in every row: rows hold their number in `name`. The indices find the few rows that go
// first among many; rows of states and samples, which are most, are in none.
constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS message(row INTEGER PRIMARY KEY, worth INTEGER NOT NULL, class INTEGER NOT NULL,
  epoch INTEGER NOT NULL, seq INTEGER NOT NULL, monotonic_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
  clock_synced INTEGER NOT NULL, retain INTEGER NOT NULL, boot INTEGER NOT NULL, stream INTEGER NOT NULL,
  schema INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS message_urgent ON message(row) WHERE worth>=2;
CREATE INDEX IF NOT EXISTS message_metrics ON message(row) WHERE worth=1;
CREATE TABLE IF NOT EXISTS name(number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS last(epoch INTEGER NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY(epoch, stream)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gap(stream TEXT NOT NULL, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, first_time INTEGER, last_time INTEGER, count INTEGER NOT NULL, reason INTEGER NOT NULL,
  stride INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS dead(number INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, at_ns INTEGER NOT NULL,
  stream TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, schema TEXT NOT NULL, body BLOB NOT NULL,
  wall_ns INTEGER NOT NULL DEFAULT 0, clock_synced INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
)sql";

constexpr const char* kFromVersion1 = R"sql(
ALTER TABLE gap ADD COLUMN stride INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead ADD COLUMN wall_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN clock_synced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN boot TEXT NOT NULL DEFAULT '';
)sql";

#define TWINKEEPER_HEAD_COLUMNS \
  "row, worth, class, epoch, seq, monotonic_ns, wall_ns, boot, stream, 64 + length(body) + length(body) / 8"
constexpr const char* kBegin = "BEGIN IMMEDIATE";
constexpr const char* kCommit = "COMMIT";
constexpr const char* kInsert = "INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)";
constexpr const char* kRemove = "DELETE FROM message WHERE row=?1 RETURNING 64 + length(body) + length(body) / 8";
#define TWINKEEPER_READ(which)                                                                                     \
  "SELECT row, worth, class, epoch, seq, monotonic_ns, wall_ns, clock_synced, retain, boot, stream, schema, crc, " \
  "body FROM message " which " row>?1 ORDER BY row LIMIT ?2"
constexpr const char* kRead = TWINKEEPER_READ("WHERE");
constexpr const char* kReadUrgent = TWINKEEPER_READ("INDEXED BY message_urgent WHERE worth>=2 AND");
constexpr const char* kReadMetrics = TWINKEEPER_READ("INDEXED BY message_metrics WHERE worth=1 AND");
constexpr const char* kReadBulk = TWINKEEPER_READ("WHERE worth=0 AND");
#undef TWINKEEPER_READ
constexpr const char* kOldestOfWorth =
    "SELECT " TWINKEEPER_HEAD_COLUMNS " FROM message WHERE worth=?1 AND row>?3 ORDER BY row LIMIT ?2";
constexpr const char* kNewestOfWorth =
    "SELECT " TWINKEEPER_HEAD_COLUMNS " FROM message WHERE worth=?1 AND row<?3 ORDER BY row DESC LIMIT ?2";
constexpr const char* kOldest = "SELECT " TWINKEEPER_HEAD_COLUMNS " FROM message WHERE row>?1 ORDER BY row LIMIT ?2";
#undef TWINKEEPER_HEAD_COLUMNS
constexpr const char* kTotals =
    "SELECT count(*), coalesce(sum(64 + length(body) + length(body) / 8), 0), coalesce(max(row), 0) FROM message";
constexpr const char* kAddName = "INSERT INTO name(text) VALUES(?1)";
constexpr const char* kNames = "SELECT number, text FROM name";

const char* statement_of(std::optional<Lane> lane) {
  if (!lane) return kRead;
  switch (*lane) {
    case Lane::urgent: return kReadUrgent;
    case Lane::metrics: return kReadMetrics;
    case Lane::bulk: return kReadBulk;
  }
  return kRead;
}

// Nanoseconds that can be subtracted from each other whatever a damaged file says: some 73 years of the monotonic clock, and
// until the year 2116.
std::int64_t instant(sqlite3_stmt* statement, int column) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  return std::clamp<std::int64_t>(sqlite3_column_int64(statement, column), -kMost / 2, kMost);
}

// The body and what identifies it: a row under the wrong number would be as bad as a wrong byte.
std::uint32_t checksum(const SpoolRow& row) {
  return crc32c(row.body, crc32c(row.stream, static_cast<std::uint32_t>(row.seq ^ row.epoch << 7)));
}

// Whether what failed last on the file or its log did for a quota. The handle's own errno knows nothing of a COMMIT.
bool met_quota(sqlite3* handle) {
  for (const int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    if (sqlite3_file_control(handle, "main", which, &file) != SQLITE_OK) continue;
    if (file == nullptr || file->pMethods == nullptr) continue;
    int cause = 0;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &cause);
    if (cause == EDQUOT) return true;
  }
  return false;
}

std::string in_uri(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
  return out;
}

base::Error newer_version(const std::string& path, int version) {
  return {base::ErrorCode::newer_version, path + " is of version " + std::to_string(version) +
                                              ", which a newer twinkeeper has written; this one reads up to " +
                                              std::to_string(kSchemaVersion)};
}

}  // namespace

base::Result<SpoolDatabase> SpoolDatabase::open(const std::string& path, std::uint64_t max_bytes) {
  // What is spooled is for nobody else's eyes; SQLite gives its -wal and -shm the same mode.
  if (const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); file >= 0) {
    static_cast<void>(::fchmod(file, 0600));
    ::close(file);
  }
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  SpoolDatabase database(handle);
  if (code != SQLITE_OK) return database.error(code).with_context(path);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 2000);  // a reader of the command line tools may checkpoint for a moment
  auto version = database.version();   // first: a file that this version does not know stays as it is
  if (!version.ok()) return std::move(version).error().with_context(path);
  const int known = version.value();
  if (known > kSchemaVersion && known <= kMostVersion) return newer_version(path, known);
  for (const char* pragma :
       {"PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA page_size=4096", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
        "PRAGMA journal_size_limit=4194304", "PRAGMA wal_autocheckpoint=256", "PRAGMA cache_size=-1024"}) {
    if (auto status = database.execute(pragma); !status.ok()) return std::move(status).error().with_context(path);
  }
  if (known != 0 && known != 1 && known != kSchemaVersion) {
    return base::Error(base::ErrorCode::corrupt, path + ": unknown version " + std::to_string(known));
  }
  if (auto status = database.allow_growth(max_bytes); !status.ok()) return std::move(status).error().with_context(path);
  // In one transaction: half of it could not be begun again.
  for (const char* sql : {kBegin, known == 1 ? kFromVersion1 : "", kSchema, "PRAGMA user_version=2", kCommit}) {
    if (auto status = database.execute(sql); !status.ok()) {
      database.rollback();
      return std::move(status).error().with_context(path);
    }
  }
  if (auto status = database.load_names(); !status.ok()) return std::move(status).error().with_context(path);
  return database;
}

base::Result<SpoolDatabase> SpoolDatabase::open_read_only(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return base::Error(base::ErrorCode::not_found, path + " is not there");
  // A file without a log is open nowhere: read as it lies, or SQLite would make a log and an index and leave them behind.
  const bool at_rest = ::access((path + "-wal").c_str(), F_OK) != 0;
  const std::string name = "file:" + in_uri(path) + (at_rest ? "?immutable=1" : "");
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(name.c_str(), &handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nullptr);
  SpoolDatabase database(handle);
  if (code != SQLITE_OK) return database.error(code).with_context(path);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 2000);
  auto version = database.version();
  if (!version.ok()) return std::move(version).error().with_context(path);
  if (version.value() > kSchemaVersion && version.value() <= kMostVersion) return newer_version(path, version.value());
  if (version.value() != kSchemaVersion) {
    return base::Error(base::ErrorCode::corrupt, path + ": version " + std::to_string(version.value()) + ", not " +
                                                     std::to_string(kSchemaVersion) +
                                                     "; the service brings an older one up to date when it starts");
  }
  return database;
}

base::Result<int> SpoolDatabase::version() {
  auto statement = prepare("PRAGMA user_version");
  if (!statement.ok()) return statement.error();
  const int known = sqlite3_step(statement.value()) == SQLITE_ROW ? sqlite3_column_int(statement.value(), 0) : -1;
  if (auto status = finish(statement.value()); !status.ok()) return std::move(status).error();
  return known;
}

// Names come and go with rows, so both are of the same snapshot.
base::Status SpoolDatabase::begin_reading() {
  if (auto status = execute("BEGIN"); !status.ok()) return status;
  return load_names();
}

SpoolDatabase::SpoolDatabase(SpoolDatabase&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      statements_(std::move(other.statements_)),
      number_of_name_(std::move(other.number_of_name_)),
      name_of_number_(std::move(other.name_of_number_)) {}

SpoolDatabase& SpoolDatabase::operator=(SpoolDatabase&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(statements_, other.statements_);
  std::swap(number_of_name_, other.number_of_name_);
  std::swap(name_of_number_, other.name_of_number_);
  return *this;
}

SpoolDatabase::~SpoolDatabase() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

base::Error SpoolDatabase::error(int code) const {
  base::ErrorCode kind = base::ErrorCode::internal;
  const bool can_not_read = code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ;
  quota_used_up_ = code == SQLITE_IOERR_WRITE && met_quota(handle_);
  switch (code & 0xFF) {
    case SQLITE_IOERR: kind = can_not_read ? base::ErrorCode::corrupt : base::ErrorCode::io; break;
    case SQLITE_FULL:
    case SQLITE_NOMEM: kind = base::ErrorCode::full; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: kind = base::ErrorCode::corrupt; break;  // ERROR: a table that is not what it should be
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH: kind = base::ErrorCode::permission_denied; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: kind = base::ErrorCode::unavailable; break;
    default: break;
  }
  if (quota_used_up_) kind = base::ErrorCode::full;
  return {kind, handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_), kind == base::ErrorCode::full};
}

base::Status SpoolDatabase::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return base::Success{};
}

base::Result<sqlite3_stmt*> SpoolDatabase::prepare(const char* sql) {
  auto& statement = statements_[sql];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return error(code);
  }
  return statement;
}

// Runs a statement to its end and makes it ready for the next use; reset repeats the error of the last step.
base::Status SpoolDatabase::finish(sqlite3_stmt* statement) {
  int code = sqlite3_step(statement);
  while (code == SQLITE_ROW) code = sqlite3_step(statement);
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement);
    return base::Success{};
  }
  base::Error failure = error(code);
  sqlite3_reset(statement);
  return failure;
}

base::Status SpoolDatabase::begin() {
  auto statement = prepare(kBegin);
  return statement.ok() ? finish(statement.value()) : base::Status(statement.error());
}

base::Status SpoolDatabase::commit() {
  auto statement = prepare(kCommit);
  auto status = statement.ok() ? finish(statement.value()) : base::Status(statement.error());
  if (!status.ok()) rollback();
  return status;
}

void SpoolDatabase::rollback() noexcept {
  // A full disk has rolled back already; names that were added inside are gone with it.
  if (sqlite3_get_autocommit(handle_) == 0) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  static_cast<void>(load_names());
}

base::Status SpoolDatabase::load_names() {
  number_of_name_.clear();
  name_of_number_.clear();
  auto statement = prepare(kNames);
  if (!statement.ok()) return statement.error();
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) {
    const auto number = sqlite3_column_int64(statement.value(), 0);
    std::string name = text(statement.value(), 1);
    number_of_name_[name] = number;
    name_of_number_[number] = std::move(name);
  }
  sqlite3_reset(statement.value());
  if (code != SQLITE_DONE) return error(code);
  return base::Success{};
}

base::Result<std::int64_t> SpoolDatabase::name_number(const std::string& name) {
  if (const auto known = number_of_name_.find(name); known != number_of_name_.end()) return known->second;
  auto statement = prepare(kAddName);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, std::string_view(name));
  if (auto status = finish(statement.value()); !status.ok()) return std::move(status).error();
  const auto number = static_cast<std::int64_t>(sqlite3_last_insert_rowid(handle_));
  number_of_name_[name] = number;
  name_of_number_[number] = name;
  return number;
}

const std::string& SpoolDatabase::name(std::int64_t number) const {
  static const std::string kUnknown;
  const auto known = name_of_number_.find(number);
  return known == name_of_number_.end() ? kUnknown : known->second;
}

base::Status SpoolDatabase::insert(const SpoolRow& row) {
  auto boot = name_number(row.boot_id);
  if (!boot.ok()) return boot.error();
  auto stream = name_number(row.stream);
  if (!stream.ok()) return stream.error();
  auto schema = name_number(row.schema);
  if (!schema.ok()) return schema.error();
  auto prepared = prepare(kInsert);
  if (!prepared.ok()) return prepared.error();
  sqlite3_stmt* statement = prepared.value();
  bind(statement, 1, row.row);
  bind(statement, 2, static_cast<std::int64_t>(row.worth));
  bind(statement, 3, static_cast<std::int64_t>(row.message_class));
  bind(statement, 4, row.epoch);
  bind(statement, 5, row.seq);
  bind(statement, 6, row.monotonic_ns);
  bind(statement, 7, row.wall_ns);
  bind(statement, 8, static_cast<std::int64_t>(row.clock_synced));
  bind(statement, 9, static_cast<std::int64_t>(row.retain));
  bind(statement, 10, boot.value());
  bind(statement, 11, stream.value());
  bind(statement, 12, schema.value());
  bind(statement, 13, static_cast<std::int64_t>(checksum(row)));
  bind_blob(statement, 14, row.body);
  return finish(statement);
}

base::Result<std::uint64_t> SpoolDatabase::remove(std::int64_t row) {
  auto statement = prepare(kRemove);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, row);
  const int code = sqlite3_step(statement.value());
  const std::uint64_t cost = code == SQLITE_ROW ? natural(statement.value(), 0) : 0;
  if (code == SQLITE_ROW) {
    if (auto status = finish(statement.value()); !status.ok()) return std::move(status).error();
    return cost;
  }
  sqlite3_reset(statement.value());
  if (code != SQLITE_DONE) return error(code);
  return cost;
}

base::Result<std::vector<SpoolRow>> SpoolDatabase::read(std::int64_t after_row, std::size_t limit, std::size_t bytes,
                                                        std::optional<Lane> lane) {
  auto prepared = prepare(statement_of(lane));
  if (!prepared.ok()) return prepared.error();
  sqlite3_stmt* statement = prepared.value();
  bind(statement, 1, after_row);
  bind(statement, 2, static_cast<std::int64_t>(limit));
  std::vector<SpoolRow> rows;
  std::size_t taken = 0;
  int code = SQLITE_DONE;
  while (taken < bytes && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    SpoolRow row;
    row.row = sqlite3_column_int64(statement, 0);
    row.worth = sqlite3_column_int(statement, 1);
    row.message_class = sqlite3_column_int(statement, 2);
    row.epoch = natural(statement, 3);
    row.seq = natural(statement, 4);
    row.monotonic_ns = instant(statement, 5);
    row.wall_ns = instant(statement, 6);
    row.clock_synced = sqlite3_column_int(statement, 7) != 0;
    row.retain = sqlite3_column_int(statement, 8) != 0;
    row.boot_id = name(sqlite3_column_int64(statement, 9));
    row.stream = name(sqlite3_column_int64(statement, 10));
    row.schema = name(sqlite3_column_int64(statement, 11));
    row.body = text(statement, 13);
    row.intact = sqlite3_column_int64(statement, 12) == static_cast<std::int64_t>(checksum(row)) &&
                 !row.stream.empty() && !row.schema.empty();
    taken += row.body.size() + 1;
    rows.push_back(std::move(row));
  }
  const bool failed = code != SQLITE_ROW && code != SQLITE_DONE;
  std::optional<base::Error> failure;
  if (failed) failure = error(code);
  sqlite3_reset(statement);
  if (failure) return *std::move(failure);
  return rows;
}

SpoolRowHead SpoolDatabase::head(sqlite3_stmt* statement) const {
  SpoolRowHead head;
  head.row = sqlite3_column_int64(statement, 0);
  head.worth = sqlite3_column_int(statement, 1);
  head.message_class = sqlite3_column_int(statement, 2);
  head.epoch = natural(statement, 3);
  head.seq = natural(statement, 4);
  head.monotonic_ns = instant(statement, 5);
  head.wall_ns = instant(statement, 6);
  head.boot_id = name(sqlite3_column_int64(statement, 7));
  head.stream = name(sqlite3_column_int64(statement, 8));
  head.cost = natural(statement, 9);
  return head;
}

base::Result<std::vector<SpoolRowHead>> SpoolDatabase::heads(const char* sql, std::int64_t first, std::size_t limit,
                                                             std::optional<std::int64_t> beyond) {
  auto statement = prepare(sql);
  if (!statement.ok()) return statement.error();
  bind(statement.value(), 1, first);
  bind(statement.value(), 2, static_cast<std::int64_t>(limit));
  if (beyond) bind(statement.value(), 3, *beyond);
  std::vector<SpoolRowHead> found;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement.value())) == SQLITE_ROW) found.push_back(head(statement.value()));
  std::optional<base::Error> failure;
  if (code != SQLITE_DONE) failure = error(code);
  sqlite3_reset(statement.value());
  if (failure) return *std::move(failure);
  return found;
}

base::Result<std::vector<SpoolRowHead>> SpoolDatabase::victims(int worth, bool newest_first, std::size_t limit,
                                                               std::optional<std::int64_t> beyond) {
  constexpr auto kRow = std::numeric_limits<std::int64_t>();
  if (!beyond) beyond = newest_first ? kRow.max() : kRow.min();
  return heads(newest_first ? kNewestOfWorth : kOldestOfWorth, worth, limit, beyond);
}

base::Result<std::vector<SpoolRowHead>> SpoolDatabase::oldest(std::int64_t after_row, std::size_t limit) {
  return heads(kOldest, after_row, limit);
}

base::Result<SpoolTotals> SpoolDatabase::totals() {
  auto statement = prepare(kTotals);
  if (!statement.ok()) return statement.error();
  SpoolTotals totals;
  if (sqlite3_step(statement.value()) == SQLITE_ROW) {
    totals = {natural(statement.value(), 0), natural(statement.value(), 1), sqlite3_column_int64(statement.value(), 2)};
  }
  if (auto status = finish(statement.value()); !status.ok()) return std::move(status).error();
  return totals;
}

base::Status SpoolDatabase::quick_check(base::Duration limit) {
  auto deadline = std::chrono::steady_clock::now() + limit;
  const auto over = [](void* at) {
    return std::chrono::steady_clock::now() > *static_cast<std::chrono::steady_clock::time_point*>(at) ? 1 : 0;
  };
  sqlite3_progress_handler(handle_, 10000, over, &deadline);
  auto statement = prepare("PRAGMA quick_check(1)");
  if (!statement.ok()) {
    sqlite3_progress_handler(handle_, 0, nullptr, nullptr);
    return statement.error();
  }
  const int code = sqlite3_step(statement.value());
  const std::string verdict = code == SQLITE_ROW ? text(statement.value(), 0) : std::string{};
  std::optional<base::Error> failure;
  if (code != SQLITE_ROW && code != SQLITE_DONE && (code & 0xFF) != SQLITE_INTERRUPT) failure = error(code);
  sqlite3_reset(statement.value());
  sqlite3_progress_handler(handle_, 0, nullptr, nullptr);
  if (failure) return *std::move(failure);
  if (code == SQLITE_ROW && verdict != "ok") return base::Error(base::ErrorCode::corrupt, verdict);
  return base::Success{};
}

base::Status SpoolDatabase::stop_growth() { return execute("PRAGMA max_page_count=1"); }  // the least that it has

base::Status SpoolDatabase::allow_growth(std::uint64_t max_bytes) {
  // The budget counts rows; half-filled pages and the other tables need some more.
  const std::uint64_t pages = max_bytes / kPageSize * 5 / 4 + 64;
  return execute(("PRAGMA max_page_count=" + std::to_string(pages)).c_str());
}

base::Status SpoolDatabase::checkpoint() { return execute("PRAGMA wal_checkpoint(TRUNCATE)"); }

}  // namespace twinkeeper::uplink
