#include <algorithm>
#include <iterator>
#include <utility>

#include "uplink/spool_implementation.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kRowsPerCommit = 100;
constexpr int kSequenceCommitFactor = 10;  // sequence numbers alone are written this many times less often
constexpr std::int64_t kDeadKept = 200;
constexpr std::uint64_t kBytesPerCommit = 512u << 10;  // what one transaction adds to the log, about
constexpr std::size_t kDeletesPerCommit = 256;
constexpr std::uint64_t kSlackOnFullDisk = 32u << 10;
constexpr std::uint64_t kDeadBytes = 4u << 20;
constexpr base::Duration kFullLasts = std::chrono::seconds{60};

// What is evicted first has the least worth; gaps are worth more than any bound. The lanes are ranges of it, in the
// database as well.
int worth_of(signals::MessageClass message_class) {
  switch (message_class) {
    case signals::MessageClass::samples:
    case signals::MessageClass::state: return 0;
    case signals::MessageClass::metrics: return 1;
    case signals::MessageClass::info: return 2;
    case signals::MessageClass::anomaly: return 3;
    case signals::MessageClass::gap: return 4;
  }
  return 0;
}

Lane lane_of_worth(int worth) {
  if (worth == 0) return Lane::bulk;
  return worth == 1 ? Lane::metrics : Lane::urgent;
}

std::int64_t nanoseconds(base::Instant instant) { return instant.time_since_epoch().count(); }
std::int64_t nanoseconds(base::WallTime time) { return time.time_since_epoch().count(); }

}  // namespace

Lane lane_of(signals::MessageClass message_class) noexcept { return lane_of_worth(worth_of(message_class)); }

StoredMessage stored_message(const SpoolRow& row, const std::string& boot_id) {
  StoredMessage message;
  message.row = row.row;
  message.epoch = row.epoch;
  message.seq = row.seq;
  message.message = {row.stream,
                     row.schema,
                     static_cast<signals::MessageClass>(std::clamp(row.message_class, 0, 5)),
                     base::Instant{base::Duration{row.monotonic_ns}},
                     row.retain,
                     row.body};
  message.boot_id = row.boot_id;
  message.this_boot = row.boot_id == boot_id;
  message.made = message.message.time;
  if (row.wall_ns != 0) message.wall = base::WallTime{base::Duration{row.wall_ns}};
  message.clock_synced = row.clock_synced;
  return message;
}

StoredMessage Spool::Implementation::append(signals::Message message) {
  Sequence& sequence = sequences_[message.stream];
  SpoolRow row;
  row.row = next_row_;
  row.worth = worth_of(message.message_class);
  row.message_class = static_cast<int>(message.message_class);
  row.epoch = epoch_;
  row.seq = ++sequence.seq;
  row.monotonic_ns = nanoseconds(message.time);
  const base::WallTime wall = clock_.to_wall(message.time);
  row.clock_synced = clock_.synchronised();
  row.wall_ns = row.clock_synced || wall >= base::kClockIsSet ? nanoseconds(wall) : 0;
  row.retain = message.retain;
  row.boot_id = boot_id_;
  row.stream = std::move(message.stream);
  row.schema = std::move(message.schema);
  row.body = std::move(message.members);
  sequence.dirty = true;
  sequences_dirty_ = true;
  unsynchronised_rows_ = unsynchronised_rows_ || !row.clock_synced;
  const base::Instant now = clock_.now();
  if (!sequences_since_) sequences_since_ = now;

  StoredMessage result = stored_message(row, boot_id_);
  result.made = now;
  const std::uint64_t cost = row_cost(row.body.size());
  ++figures_.appended_total;
  if (refuses(row.worth, cost)) {
    result.kept = false;
    gaps_.add(gap_of(row.stream, row.epoch, row.seq, row.monotonic_ns, row.wall_ns, true, GapReason::size));
    ++figures_.dropped_total;
    return result;
  }
  ++next_row_;
  pending_.push_back({std::move(row), cost, false});
  if (!rows_since_) rows_since_ = now;
  ++pending_kept_;
  pending_bytes_ += cost;
  ++figures_.messages;
  figures_.bytes += cost;
  keep_bounds();
  const Pending* kept = find_pending(result.row);
  result.kept = kept != nullptr && !kept->gone;
  return result;
}

void Spool::Implementation::skip(const std::string& stream, std::uint64_t count, base::Instant first,
                                 base::Instant last) {
  if (count == 0) return;
  Sequence& sequence = sequences_[stream];
  Gap gap = gap_of(stream, epoch_, sequence.seq + 1, nanoseconds(first), 0, true, GapReason::overrun);
  sequence.seq += count;
  gap.last_seq = sequence.seq;
  gap.last_time = clock_.to_wall(last);
  gap.count = count;
  gaps_.add(gap);
  sequence.dirty = true;
  sequences_dirty_ = true;
  if (!sequences_since_) sequences_since_ = clock_.now();
  figures_.dropped_total += count;
}

Spool::Implementation::Pending* Spool::Implementation::find_pending(std::int64_t row) {
  const auto found =
      std::lower_bound(pending_.begin(), pending_.end(), row,
                       [](const Pending& pending, std::int64_t wanted) { return pending.row.row < wanted; });
  return found != pending_.end() && found->row.row == row ? &*found : nullptr;
}

void Spool::Implementation::drop_pending(Pending& pending) {
  if (pending.gone) return;
  pending.gone = true;
  pending.row.body = {};
  --pending_kept_;
  pending_bytes_ -= pending.cost;
  --figures_.messages;
  figures_.bytes -= pending.cost;
  while (!pending_.empty() && pending_.front().gone) pending_.pop_front();
}

void Spool::Implementation::refresh_rows_since() {
  if (pending_kept_ == 0 && deletes_.empty()) {
    rows_since_.reset();
  } else if (!rows_since_) {
    rows_since_ = clock_.now();
  }
}

void Spool::Implementation::acknowledge(const std::vector<std::int64_t>& rows) {
  for (const std::int64_t row : rows) {
    if (Pending* pending = find_pending(row)) {
      drop_pending(*pending);
    } else if (database_) {
      deletes_.insert(row);
    }
  }
  refresh_rows_since();
}

void Spool::Implementation::refuse(const StoredMessage& message, const std::string& reason) {
  SpoolRow row;
  row.epoch = message.epoch;
  row.seq = message.seq;
  row.stream = message.message.stream;
  row.schema = message.message.schema;
  row.body = message.message.members;
  row.boot_id = message.boot_id;
  row.clock_synced = message.clock_synced;
  row.wall_ns = nanoseconds(message.wall ? *message.wall : clock_.to_wall(message.message.time));
  const std::uint64_t bytes = burial_bytes_ + row.body.size();
  if (burials_.size() < static_cast<std::size_t>(kDeadKept) && bytes <= most_dead_bytes()) {
    burial_bytes_ = bytes;
    burials_.push_back({std::move(row), reason});
  }
  const auto alike = std::find_if(dead_.begin(), dead_.end(), [&](const DeadMessages& dead) {
    return dead.stream == message.message.stream && dead.reason == reason;
  });
  if (alike != dead_.end()) {
    ++alike->count;
    std::rotate(dead_.begin(), alike, alike + 1);
  } else {
    dead_.insert(dead_.begin(), {message.message.stream, reason, 1});
  }
  gaps_.add(gap_of(message.message.stream, message.epoch, message.seq, nanoseconds(message.message.time),
                   message.wall ? nanoseconds(*message.wall) : 0, message.this_boot, GapReason::refused));
  ++figures_.dropped_total;
  acknowledge({message.row});
}

std::uint64_t Spool::Implementation::most_dead_bytes() const { return std::min(kDeadBytes, settings_.max_bytes / 16); }

bool Spool::Implementation::dirty() const noexcept {
  return pending_kept_ > 0 || !deletes_.empty() || sequences_dirty_ || gaps_.dirty() || !burials_.empty();
}

std::optional<base::Instant> Spool::Implementation::commit_due() const {
  std::optional<base::Instant> due;
  if (rows_since_) {
    due = *rows_since_;
    if (pending_kept_ + deletes_.size() < kRowsPerCommit) *due += settings_.commit_interval;
  }
  if (sequences_since_) {
    const base::Instant latest = *sequences_since_ + kSequenceCommitFactor * settings_.commit_interval;
    due = due ? std::min(*due, latest) : latest;
  }
  if (due && (!database_ || !trouble_.empty())) due = std::max(*due, retry_at_);
  return due;
}

void Spool::Implementation::commit_if_due() {
  const auto due = commit_due();
  if (!due || clock_.now() < *due) return;
  // Sequence numbers and the time cost pages of their own with each commit, and may lag behind.
  with_sequences_ =
      !sequences_since_ || clock_.now() >= *sequences_since_ + kSequenceCommitFactor * settings_.commit_interval;
  commit();
  with_sequences_ = true;
}

base::Status Spool::Implementation::write() {
  SpoolDatabase& database = *database_;
  removed_ = {};
  if (auto status = database.begin(); !status.ok()) return status;
  const auto body = [&]() -> base::Status {
    rows_written_ = 0;
    std::uint64_t bytes = 0;
    for (const Pending& pending : pending_) {
      if (bytes >= kBytesPerCommit && !pending.gone) break;
      ++rows_written_;
      if (pending.gone) continue;
      bytes += pending.cost;
      if (auto status = database.insert(pending.row); !status.ok()) return status;
    }
    deletes_written_ = 0;
    for (const std::int64_t row : deletes_) {
      if (deletes_written_ >= kDeletesPerCommit) break;
      ++deletes_written_;
      auto cost = database.remove(row);
      if (!cost.ok()) return cost.error();
      if (cost.value() > 0) ++removed_.messages;
      removed_.bytes += cost.value();
    }
    const bool all_rows = rows_written_ == pending_.size();  // those that tell gaps among them
    const bool with_sequences = with_sequences_ && all_rows;  // a number must never be ahead of its row
    for (const auto& [stream, sequence] : sequences_) {
      if (!sequence.dirty || !with_sequences) continue;
      if (auto status = database.set_last(epoch_, stream, sequence.seq); !status.ok()) return status;
    }
    for (const Burial& burial : burials_) {
      auto status = database.bury(burial.row, burial.reason, nanoseconds(clock_.wall_now()));
      if (!status.ok()) return status;
    }
    if (!burials_.empty()) {
      if (auto status = database.forget_dead(kDeadKept, most_dead_bytes()); !status.ok()) return status;
    }
    if (auto status = database.write_gaps(gaps_, all_rows); !status.ok()) return status;
    const base::WallTime wall = clock_.wall_now();
    if (wall < base::kClockIsSet || !with_sequences) return base::Success{};
    return database.set_number("last_wall", static_cast<std::uint64_t>(nanoseconds(wall)));
  };
  auto status = body();
  if (!status.ok()) {
    database.rollback();
    return status;
  }
  return database.commit();
}

void Spool::Implementation::written() {
  figures_.messages -= std::min(figures_.messages, removed_.messages);
  figures_.bytes -= std::min(figures_.bytes, removed_.bytes);
  for (std::size_t i = 0; i < rows_written_; ++i) {
    const Pending& pending = pending_.front();
    if (!pending.gone) {
      --pending_kept_;
      pending_bytes_ -= pending.cost;
    }
    pending_.pop_front();
  }
  deletes_.erase(deletes_.begin(), std::next(deletes_.begin(), static_cast<std::ptrdiff_t>(deletes_written_)));
  if (!burials_.empty()) {
    if (auto dead = database_->dead(); dead.ok()) dead_ = std::move(dead).value();
  }
  burials_.clear();
  burial_bytes_ = 0;
  if (with_sequences_ && pending_.empty()) {
    for (auto& [stream, sequence] : sequences_) sequence.dirty = false;
    sequences_dirty_ = false;
    sequences_since_.reset();
  }
  gaps_.written(pending_.empty());
  rows_since_.reset();
  refresh_rows_since();
  ++figures_.commits_total;
}

// Whether it is worth trying again. On a full disk the reserve is given up, so that the log can be written back and rows be
// deleted; the file grows no more, or that room would be gone as well. Then what is worth least goes, oldest first.
bool Spool::Implementation::make_room(int attempt) {
  const bool quota = database_->quota_used_up();
  if (quota || reserve_.disk_is_full()) {
    stopped_by_quota_ = quota;
    disk_was_full();
    reserve_.give_up();
    static_cast<void>(database_->checkpoint());
    growth_stopped_ = database_->stop_growth().ok();
    if (attempt == 0) return true;
  } else if (growth_stopped_ && !stopped_by_quota_) {  // what a quota leaves can't be seen: maintain() tries it later
    return grow_again();
  }
  // Nothing goes for what is worth less.
  int most_worth = pending_kept_ > 0 || gaps_.dirty() ? kMostWorthEvicted : -1;
  for (const Pending& pending : pending_) {
    if (!pending.gone) most_worth = std::min(most_worth, pending.row.worth);
  }
  bool room = false;
  const std::uint64_t wanted = 2 * std::min(pending_bytes_, kBytesPerCommit) + kSlackOnFullDisk;
  const std::uint64_t target = figures_.bytes - std::min(figures_.bytes, wanted);
  for (int worth = 0; worth <= most_worth && !room && database_; ++worth) {
    room = evict_from_database(worth, target, GapReason::size);
  }
  return room && database_;
}

bool Spool::Implementation::grow_again() {
  if (!database_ || reserve_.disk_is_full()) return false;
  reserve_.take();
  growth_stopped_ = !database_->allow_growth(settings_.max_bytes).ok();
  return !growth_stopped_;
}

void Spool::Implementation::disk_was_full() {
  const std::string message = "the disk is full; the oldest messages are given up to keep the newest";
  if (!full_at_) raise(signals::EventLevel::error, "disk_full", message);
  full_at_ = clock_.now();
  figures_.trouble = message;
}

void Spool::Implementation::commit() {
  if (!database_ && clock_.now() >= retry_at_) open_database();
  if (!database_ || !dirty()) return;
  const base::Instant started = clock_.now();
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto status = write();
    if (status.ok()) {
      written();
      if (pending_kept_ > 0 || !deletes_.empty()) {  // more than one transaction should take
        attempt = -1;
        continue;
      }
      trouble_over();
      figures_.commit_last = clock_.now() - started;
      return;
    }
    const base::Error cause = std::move(status).error();
    if (cause.code() == base::ErrorCode::full && attempt < 2 && make_room(attempt)) continue;
    fail(cause);
    if (!database_ || cause.code() == base::ErrorCode::full || !trouble_.empty()) break;
  }
  keep_bounds();
}

std::vector<StoredMessage> Spool::Implementation::next_backlog(std::int64_t after_row, std::size_t limit,
                                                               std::size_t bytes, std::optional<Lane> lane) {
  std::vector<StoredMessage> found;
  std::size_t taken = 0;
  bool more = database_.has_value();
  while (more && found.size() < limit && taken < bytes) {
    auto rows = database_->read(after_row, limit - found.size(), bytes - taken, lane);
    if (!rows.ok()) {
      fail(rows.error());
      break;
    }
    more = !rows.value().empty();
    for (const SpoolRow& row : rows.value()) {
      after_row = row.row;
      if (deletes_.contains(row.row)) continue;
      if (!row.intact) {
        const bool named = !row.stream.empty() && row.epoch > 0 && row.epoch <= epoch_ && row.seq > 0 &&
                           row.seq <= std::uint64_t{1} << 53;
        gaps_.add(named ? gap_of(row.stream, row.epoch, row.seq, row.monotonic_ns, row.wall_ns, row.boot_id == boot_id_,
                                 GapReason::corrupt)
                        : Gap{.stream = {}, .first_time = {}, .last_time = {}, .reason = GapReason::corrupt});
        ++figures_.dropped_total;
        deletes_.insert(row.row);
        refresh_rows_since();
        raise(signals::EventLevel::error, "row_corrupt",
              "a spooled message of " + row.stream + " was damaged on disk and is lost");
        continue;
      }
      taken += row.body.size() + 1;
      StoredMessage& message = found.emplace_back(stored_message(row, boot_id_));
      if (!message.wall && !message.this_boot) message.wall = base::WallTime{base::Duration{estimate_}};
    }
  }
  if (more && database_) return found;
  for (const Pending& pending : pending_) {
    if (found.size() >= limit || taken >= bytes) break;
    if (pending.gone || pending.row.row <= after_row) continue;
    if (lane && lane_of_worth(pending.row.worth) != *lane) continue;
    taken += pending.row.body.size() + 1;
    found.push_back(stored_message(pending.row, boot_id_));
  }
  return found;
}

// A portion with each call: to write all rows of a long outage at once takes as much room again, and minutes on slow flash.
void Spool::Implementation::fill_wall_times() {
  const std::int64_t offset = nanoseconds(clock_.wall_now()) - nanoseconds(clock_.now());
  if (unsynchronised_rows_ && clock_.synchronised()) {
    unsynchronised_rows_ = false;
    filled_to_ = 0;
    for (Pending& pending : pending_) {
      if (pending.row.clock_synced || pending.row.boot_id != boot_id_) continue;
      pending.row.wall_ns = pending.row.monotonic_ns + offset;
      pending.row.clock_synced = true;
    }
  }
  if (!database_ || !trouble_.empty()) return;
  if (filled_to_ && clock_.synchronised() &&
      !go_on(filled_to_, database_->fill_wall_times(boot_id_, offset, *filled_to_))) {
    return;
  }
  if (estimated_to_) {
    static_cast<void>(go_on(estimated_to_, database_->estimate_wall_times(boot_id_, estimate_, *estimated_to_)));
  }
}

// On a full disk the times can wait; commits tell it.
bool Spool::Implementation::go_on(std::optional<std::int64_t>& cursor,
                                  base::Result<std::optional<std::int64_t>> portion) {
  if (portion.ok()) {
    cursor = portion.value();
  } else if (portion.error().code() != base::ErrorCode::full) {
    fail(portion.error());
  }
  return portion.ok();
}

void Spool::Implementation::maintain() {
  if (full_at_ && clock_.now() - *full_at_ > kFullLasts) {
    full_at_.reset();
    if (trouble_.empty()) figures_.trouble.clear();
  }
  if (!full_at_ && trouble_.empty()) {
    reserve_.take();
    if (growth_stopped_) static_cast<void>(grow_again());
  }
  if (!database_ && clock_.now() >= retry_at_) open_database();
  fill_wall_times();
  evict_aged();
  keep_bounds();
}

std::vector<StoredMessage> Spool::Implementation::take_own_messages() {
  std::vector<StoredMessage> told;
  if (gaps_.empty()) return told;
  for (const Gap& gap : gaps_.take()) {
    told.push_back(
        append({"gap", "twinkeeper.gap/1", signals::MessageClass::gap, clock_.now(), false, gap_members(gap)}));
  }
  commit();  // the table has none of them any more: a power cut now must not lose what they tell
  return told;
}

}  // namespace twinkeeper::uplink
