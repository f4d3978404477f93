#include "uplink/spool_backup.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "base/durable_file.hpp"
#include "uplink/spool_database.hpp"
#include "uplink/spool_files.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kWholeCheck = std::chrono::minutes{10};
constexpr std::size_t kHeadsAtOnce = 2000;
constexpr std::uint64_t kManyStarts = 1'000'000;

Gap gap_of_row(const SpoolRowHead& head) {
  Gap gap;
  gap.stream = head.stream;
  gap.epoch = head.epoch;
  gap.first_seq = gap.last_seq = head.seq;
  gap.count = 1;
  gap.reason = GapReason::purged;
  if (head.wall_ns != 0) gap.first_time = gap.last_time = base::WallTime{base::Duration{head.wall_ns}};
  return gap;
}

// The rows of a spool one by one, in ascending order.
class Heads {
 public:
  explicit Heads(SpoolDatabase& database) : database_(database) {}

  // nullptr: there are no more.
  base::Result<const SpoolRowHead*> next() {
    if (place_ == heads_.size()) {
      auto read = database_.snapshot([&] { return database_.oldest(after_, kHeadsAtOnce); });
      if (!read.ok()) return read.error();
      heads_ = std::move(read).value();
      place_ = 0;
      if (heads_.empty()) return nullptr;
      after_ = heads_.back().row;
    }
    return &heads_[place_++];
  }

 private:
  SpoolDatabase& database_;
  std::vector<SpoolRowHead> heads_;
  std::size_t place_ = 0;
  std::int64_t after_ = 0;
};

// A row has the same number in a spool and in its copy, and no number is given twice.
base::Result<std::uint64_t> add_what_is_missing(SpoolDatabase& there, SpoolDatabase& copy, GapList& gaps) {
  Heads all(there);
  Heads kept(copy);
  auto other = kept.next();
  std::uint64_t missing = 0;
  for (;;) {
    const auto head = all.next();
    if (!head.ok()) return head.error();
    if (head.value() == nullptr) return missing;
    const SpoolRowHead& row = *head.value();
    while (other.ok() && other.value() != nullptr && other.value()->row < row.row) other = kept.next();
    if (!other.ok()) return other.error();
    const SpoolRowHead* same = other.value();
    if (same != nullptr && same->row == row.row && same->epoch == row.epoch && same->seq == row.seq &&
        same->stream == row.stream) {
      continue;
    }
    gaps.add(gap_of_row(row));
    ++missing;
  }
}

std::uint64_t newest_epoch(const std::string& directory) {
  std::uint64_t newest = read_epoch_file(directory);
  if (auto there = SpoolDatabase::open_read_only(directory + "/spool.db"); there.ok()) {
    if (const auto epoch = there.value().number("epoch"); epoch.ok())
      newest = std::max(newest, epoch.value().value_or(0));
  }
  return newest;
}

base::Status sync_file(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return base::system_error(file, errno);
  const bool synced = ::fsync(descriptor) == 0;
  const int number = errno;
  ::close(descriptor);
  if (!synced) return base::system_error(file, number);
  return base::Success{};
}

}  // namespace

base::Status SpoolDatabase::copy_to(const std::string& file) {
  const int made = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (made < 0) return base::system_error(file, errno);
  ::close(made);
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  SpoolDatabase target(handle);
  if (opened != SQLITE_OK) return target.error(opened).with_context(file);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_backup* backup = sqlite3_backup_init(handle, "main", handle_, "main");
  if (backup == nullptr) return target.error(sqlite3_errcode(handle)).with_context(file);
  // At one go: in pieces it would begin again whenever the service has written.
  static_cast<void>(sqlite3_backup_step(backup, -1));
  if (const int code = sqlite3_backup_finish(backup); code != SQLITE_OK) return target.error(code).with_context(file);
  // Its log in the file itself, so that it is one.
  for (auto status : {target.execute("PRAGMA journal_mode=DELETE"), target.quick_check(kWholeCheck)}) {
    if (!status.ok()) return std::move(status).error().with_context(file);
  }
  return base::Success{};
}

base::Result<SpoolCopy> copy_spool(const std::string& directory, const std::string& file) {
  auto source = SpoolDatabase::open_read_only(directory + "/spool.db");
  if (!source.ok()) return source.error();
  if (auto status = source.value().copy_to(file); !status.ok()) return std::move(status).error();
  if (auto status = sync_file(file); !status.ok()) return std::move(status).error();
  auto copy = SpoolDatabase::open_read_only(file);
  if (!copy.ok()) return copy.error();
  const auto epoch = copy.value().number("epoch");
  if (!epoch.ok()) return epoch.error();
  const auto totals = copy.value().totals();
  if (!totals.ok()) return totals.error();
  return SpoolCopy{epoch.value().value_or(0), totals.value().messages};
}

base::Result<std::uint64_t> tell_what_is_replaced(const std::string& copy, const SpoolSettings& settings) {
  auto opened = SpoolDatabase::open(copy, settings.max_bytes);
  if (!opened.ok()) return opened.error();
  SpoolDatabase& database = opened.value();
  auto own = database.gaps();
  if (!own.ok()) return own.error();
  GapList gaps;
  for (const Gap& gap : own.value()) gaps.add(gap);
  std::uint64_t missing = 0;
  auto there = SpoolDatabase::open_read_only(settings.directory + "/spool.db");
  if (!there.ok() && there.error().code() == base::ErrorCode::not_found) return missing;
  auto theirs = there.ok() ? there.value().gaps() : base::Result<std::vector<Gap>>(there.error());
  if (theirs.ok()) {
    for (const Gap& gap : theirs.value()) gaps.add(gap);
    const auto found = add_what_is_missing(there.value(), database, gaps);
    if (!found.ok()) return found.error();
    missing = found.value();
  } else {  // nobody knows what is in it
    gaps.add({.stream = {}, .first_time = {}, .last_time = {}, .reason = GapReason::corrupt});
  }
  gaps.rewrite();
  if (auto status = database.begin(); !status.ok()) return std::move(status).error();
  if (auto status = database.write_gaps(gaps, true); !status.ok()) {
    database.rollback();
    return std::move(status).error();
  }
  if (auto status = database.commit(); !status.ok()) return std::move(status).error();
  return missing;
}

base::Status put_in_place(const std::string& copy, const std::string& directory) {
  const std::string spool = directory + "/spool.db";
  if (auto removed = remove_spool_file(spool); !removed) return removed;
  if (std::rename(copy.c_str(), spool.c_str()) != 0) return base::system_error(spool, errno);
  return sync_file(directory);
}

base::Status raise_epoch(const std::string& directory, std::uint64_t known, base::WallTime now) {
  const std::uint64_t least = std::max(known, newest_epoch(directory));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  const bool clock_tells = now >= base::kClockIsSet && static_cast<std::uint64_t>(seconds) > least;
  return write_epoch_file(directory, clock_tells ? static_cast<std::uint64_t>(seconds) : least + kManyStarts);
}

base::Status keep_epoch(const std::string& directory) {
  const std::uint64_t newest = newest_epoch(directory);
  return newest == 0 ? base::Status(base::Success{}) : write_epoch_file(directory, newest);
}

}  // namespace twinkeeper::uplink
