#include "uplink/spool.hpp"

#include <algorithm>
#include <utility>

#include "uplink/spool_implementation.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kQuickCheckLimit = std::chrono::seconds{5};
constexpr std::uint64_t kReserve = 2u << 20;  // the log at its longest, and as much again
constexpr std::uint64_t kMostNumber = std::uint64_t{1} << 53;
constexpr base::Duration kRetryDiskAfter = std::chrono::seconds{10};
constexpr std::uint64_t kMostEpochOfRows = std::uint64_t{1} << 32;  // as a number of seconds in the year 2106

}  // namespace

Spool::Implementation::Implementation(SpoolSettings settings, std::string gateway_id, const base::Clock& clock,
                                      std::string boot_id, signals::EventSink& events, SpoolLock lock, bool maintenance)
    : settings_(std::move(settings)),
      gateway_id_(std::move(gateway_id)),
      clock_(clock),
      boot_id_(std::move(boot_id)),
      events_(events),
      lock_(std::move(lock)),
      reserve_(settings_.directory, kReserve),
      maintenance_(maintenance) {
  open_database();
  if (!maintenance_ && !newer_) reserve_.take();
}

Spool::Implementation::~Implementation() {
  commit();
  for (const bool in_flight : {false, true}) {
    if (!database_ || pending_kept_ == 0) break;
    // No room for them: what tells it needs less. Those in flight may yet arrive and go last.
    if (in_flight) release_all();
    for (int worth = 0; worth <= kMostWorthEvicted; ++worth) evict_from_memory(worth, 0, GapReason::size);
    commit();
  }
  if (!database_) return;
  if (database_->begin().ok()) {
    if (database_->set_number("clean_stop", 1).ok()) {
      static_cast<void>(database_->commit());
    } else {
      database_->rollback();
    }
  }
  static_cast<void>(database_->checkpoint());
}

void Spool::Implementation::raise(signals::EventLevel level, const char* code, std::string message) {
  events_.raise({level, "spool", code, std::move(message)});
}

// A trouble that lasts is told once.
void Spool::Implementation::trouble(const char* code, const std::string& message) {
  figures_.trouble = message;
  if (trouble_ == code) return;
  trouble_ = code;
  raise(signals::EventLevel::error, code, message);
}

void Spool::Implementation::trouble_over() {
  if (trouble_.empty()) return;
  trouble_.clear();
  figures_.trouble.clear();
  raise(signals::EventLevel::info, "spool_recovered", "the spool of " + gateway_id_ + " is written to disk again");
}

std::uint64_t Spool::Implementation::next_epoch(std::uint64_t known) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count();
  return std::max({std::max(known, epoch_) + 1, read_epoch_file(settings_.directory) + 1,
                   static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 1))});
}

void Spool::Implementation::begin_epoch(std::uint64_t epoch) {
  if (epoch_ != 0) {  // a new file at run time: what was counted so far is the previous epoch
    previous_ = PreviousEpoch{epoch_, {}};
    for (const auto& [stream, sequence] : sequences_) previous_->last[stream] = sequence.seq;
  }
  sequences_.clear();
  sequences_dirty_ = false;
  sequences_since_.reset();
  epoch_ = epoch;
}

void Spool::Implementation::start_epoch_in_memory(std::uint64_t known) {
  const std::uint64_t epoch = next_epoch(known);
  static_cast<void>(write_epoch_file(settings_.directory, epoch));  // there may be no room for it either
  begin_epoch(epoch);
}

// Durable before it returns: in the database, and beside it for the day the database is lost.
base::Status Spool::Implementation::start_epoch(SpoolDatabase& database, std::uint64_t known) {
  const std::uint64_t epoch = next_epoch(known);
  if (auto status = database.begin(); !status.ok()) return status;
  for (auto status : {database.set_number("epoch", epoch), database.set_number("clean_stop", 0),
                      database.forget_last_before(known)}) {
    if (status.ok()) continue;
    database.rollback();
    return status;
  }
  if (auto status = database.commit(); !status.ok()) return status;
  static_cast<void>(write_epoch_file(settings_.directory, epoch));
  begin_epoch(epoch);
  return base::Success{};
}

base::Status Spool::Implementation::renew_epoch() {
  commit();
  // How far this epoch went must not be told ahead of what is stored.
  if (!database_ || pending_kept_ > 0 || sequences_dirty_) {
    return base::Error(base::ErrorCode::io, "the spool can't be written now");
  }
  return start_epoch(*database_, epoch_);
}

void Spool::Implementation::set_limits(const SpoolSettings& settings) {
  const std::string directory = settings_.directory;
  settings_ = settings;
  settings_.directory = directory;
  if (database_ && !growth_stopped_) static_cast<void>(database_->allow_growth(settings_.max_bytes));
  keep_bounds();
}

base::Status Spool::Implementation::adopt(SpoolDatabase& database) {
  auto clean = database.number("clean_stop");
  if (!clean.ok()) return clean.error();
  if (clean.value() == 0u) {
    if (auto status = database.quick_check(kQuickCheckLimit); !status.ok()) return status;
  }
  auto known = database.number("epoch");
  if (!known.ok()) return known.error();
  auto totals = database.totals();
  if (!totals.ok()) return totals.error();
  if (known.value().value_or(0) > kMostNumber || totals.value().last_row >= std::int64_t{kMostNumber}) {
    return base::Error(base::ErrorCode::corrupt, "numbers that were never given");
  }
  auto gaps = database.gaps();
  if (!gaps.ok()) return gaps.error();
  std::map<std::string, std::uint64_t> last;
  if (known.value()) {
    auto read = database.last(*known.value());
    if (!read.ok()) return read.error();
    last = std::move(read).value();
  }
  auto last_wall = database.number("last_wall");
  if (!last_wall.ok()) return last_wall.error();
  const auto estimate = static_cast<std::int64_t>(last_wall.value().value_or(0));
  estimate_ = estimate != 0 ? estimate : clock_.wall_now().time_since_epoch().count();
  estimated_to_ = 0;
  const bool first_of_process = epoch_ == 0;
  if (maintenance_) {
    epoch_ = known.value().value_or(0);
  } else if (auto status = start_epoch(database, known.value().value_or(0)); !status.ok()) {
    return status;
  }
  if (first_of_process && known.value()) previous_ = PreviousEpoch{*known.value(), std::move(last)};
  // Those of the table are numbered anew.
  GapList waiting;
  for (const Gap& gap : gaps.value()) waiting.add(gap);
  for (const Gap& gap : gaps_.gaps()) waiting.add(gap);
  waiting.rewrite();
  gaps_ = std::move(waiting);
  if (auto dead = database.dead(); dead.ok()) dead_ = std::move(dead).value();
  figures_.messages = totals.value().messages + pending_kept_;
  figures_.bytes = totals.value().bytes + pending_bytes_;
  next_row_ = std::max(next_row_, totals.value().last_row + 1);
  return base::Success{};
}

void Spool::Implementation::open_database() {
  const std::string path = settings_.directory + "/spool.db";
  retry_at_ = clock_.now() + kRetryDiskAfter;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto opened = SpoolDatabase::open(path, settings_.max_bytes);
    base::Status status = opened.ok() ? adopt(opened.value()) : base::Status(opened.error());
    if (status.ok()) {
      database_.emplace(std::move(opened).value());
      trouble_over();
      return;
    }
    const base::Error cause = std::move(status).error();
    opened = base::Error(base::ErrorCode::cancelled, "closed");  // before its files are renamed
    if (cause.code() == base::ErrorCode::newer_version && (epoch_ == 0 || maintenance_)) {
      newer_ = cause;
      return;
    }
    const bool denied = cause.code() == base::ErrorCode::permission_denied;
    const bool no_new_file = denied && spool_is_accessible(settings_.directory);  // as on a disk out of inodes
    if ((cause.code() == base::ErrorCode::full || no_new_file) && attempt == 0) {
      reserve_.give_up();  // its former owner died on a full disk
      continue;
    }
    const bool damaged = cause.code() == base::ErrorCode::corrupt || (denied && !no_new_file);
    if (damaged && attempt == 0 && !maintenance_) {
      auto renamed = set_spool_aside(settings_.directory, clock_.wall_now());
      if (renamed.ok()) {
        gaps_.add({.stream = {}, .first_time = {}, .last_time = {}, .reason = GapReason::corrupt});
        raise(signals::EventLevel::error, "corrupt",
              "the spool of " + gateway_id_ + " could not be read (" + cause.message() + "); it was set aside as " +
                  renamed.value() + " and a new one was started");
        continue;
      }
    }
    if (maintenance_) {
      figures_.trouble = cause.message();
      return;
    }
    trouble("spool_unwritable",
            "the spool can't be written (" + cause.message() + "); messages are kept in memory only until it can");
    break;
  }
  if (epoch_ == 0) {
    start_epoch_in_memory(0);
    // Above any row of a file that opens later, which may have some of an earlier start without it.
    next_row_ = static_cast<std::int64_t>(std::min(epoch_, kMostEpochOfRows) << 20);
  }
}

// At run time, with everything in the file lost but what can still be counted.
void Spool::Implementation::set_aside(const base::Error& cause) {
  std::vector<Gap> lost;
  if (database_) {
    if (auto contents = database_->contents(); contents.ok()) lost = std::move(contents).value();
  }
  if (lost.empty() && figures_.messages > pending_kept_) {
    lost.push_back({.stream = {}, .first_time = {}, .last_time = {}, .reason = GapReason::corrupt});
  }
  const std::uint64_t before = figures_.messages - pending_kept_;
  database_.reset();
  deletes_.clear();
  thinned_to_ = {};
  const base::Instant now = clock_.now();
  const bool again = set_aside_at_ != base::Instant{} && now - set_aside_at_ < kRetryDiskAfter;
  set_aside_at_ = now;
  for (const Gap& gap : lost) gaps_.add(gap);
  figures_.dropped_total += before;
  figures_.messages = pending_kept_;
  figures_.bytes = pending_bytes_;
  auto renamed = set_spool_aside(settings_.directory, clock_.wall_now());
  if (renamed.ok()) {
    raise(signals::EventLevel::error, "corrupt",
          "the spool of " + gateway_id_ + " failed (" + cause.message() + "); it was set aside as " + renamed.value() +
              " and a new one was started");
  }
  if (!renamed.ok() || again) {  // a disk that fails at once again is not tried in a loop
    trouble("spool_unwritable",
            "the spool can't be written (" + cause.message() + "); messages are kept in memory only until it can");
    retry_at_ = now + kRetryDiskAfter;
    return;
  }
  open_database();
}

void Spool::Implementation::fail(const base::Error& cause) {
  if (cause.code() == base::ErrorCode::corrupt || cause.code() == base::ErrorCode::internal) {
    set_aside(cause);
  } else if (cause.code() == base::ErrorCode::full) {
    trouble("spool_full", "no room to write the spool (" + cause.message() +
                              "); the newest messages are kept in memory, older ones are given up");
    retry_at_ = clock_.now() + std::chrono::seconds{1};
  } else {
    trouble("spool_unwritable", "the spool can't be written now (" + cause.message() + "); messages wait in memory");
    retry_at_ = clock_.now() + std::chrono::seconds{1};
  }
}

base::Result<Spool> Spool::open(const SpoolSettings& settings, const std::string& gateway_id, const base::Clock& clock,
                                const std::string& boot_id, signals::EventSink& events) {
  auto lock = SpoolLock::acquire(settings.directory);
  if (!lock.ok()) return lock.error();
  auto opened =
      std::make_unique<Implementation>(settings, gateway_id, clock, boot_id, events, std::move(lock).value(), false);
  if (opened->newer()) return *opened->newer();
  return Spool(std::move(opened));
}

base::Result<Spool> Spool::open_for_maintenance(const SpoolSettings& settings, const std::string& gateway_id,
                                                const base::Clock& clock, const std::string& boot_id,
                                                signals::EventSink& events) {
  auto lock = SpoolLock::acquire(settings.directory);
  if (!lock.ok()) return lock.error();
  auto opened =
      std::make_unique<Implementation>(settings, gateway_id, clock, boot_id, events, std::move(lock).value(), true);
  if (opened->newer()) return *opened->newer();
  if (!opened->trouble().empty()) return base::Error(base::ErrorCode::io, opened->trouble());
  return Spool(std::move(opened));
}

Spool::Spool(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Spool::Spool(Spool&&) noexcept = default;
Spool& Spool::operator=(Spool&&) noexcept = default;
Spool::~Spool() = default;

std::uint64_t Spool::epoch() const noexcept { return implementation_->epoch(); }
const PreviousEpoch* Spool::previous() const noexcept { return implementation_->previous(); }
base::Status Spool::begin_epoch() { return implementation_->renew_epoch(); }
void Spool::set_limits(const SpoolSettings& settings) { implementation_->set_limits(settings); }
StoredMessage Spool::append(signals::Message message) { return implementation_->append(std::move(message)); }
void Spool::skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last) {
  implementation_->skip(stream, count, first, last);
}
void Spool::commit_if_due() { implementation_->commit_if_due(); }
void Spool::commit() { implementation_->commit(); }
std::optional<base::Instant> Spool::commit_due() const { return implementation_->commit_due(); }
std::vector<StoredMessage> Spool::next_backlog(std::int64_t after_row, std::size_t limit, std::size_t max_bytes,
                                               std::optional<Lane> lane) {
  return implementation_->next_backlog(after_row, limit, max_bytes, lane);
}
void Spool::acknowledge(const std::vector<std::int64_t>& rows) { implementation_->acknowledge(rows); }
void Spool::refuse(const StoredMessage& message, const std::string& reason) {
  implementation_->refuse(message, reason);
}
void Spool::hold(std::int64_t row) { implementation_->hold(row); }
void Spool::release(std::int64_t row) { implementation_->release(row); }
void Spool::release_all() { implementation_->release_all(); }
bool Spool::held(std::int64_t row) const { return implementation_->held(row); }
base::Result<Purged> Spool::purge(const PurgeFilter& filter) { return implementation_->purge(filter); }
void Spool::maintain() { implementation_->maintain(); }
std::vector<StoredMessage> Spool::take_own_messages() { return implementation_->take_own_messages(); }
const std::vector<DeadMessages>& Spool::dead() const noexcept { return implementation_->dead(); }
bool Spool::much_to_tell() const noexcept { return implementation_->much_to_tell(); }
const SpoolFigures& Spool::figures() const noexcept { return implementation_->figures(); }

}  // namespace twinkeeper::uplink
