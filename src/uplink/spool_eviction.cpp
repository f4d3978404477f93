#include <algorithm>
#include <bit>
#include <utility>

#include "uplink/spool_implementation.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kRowsPerEviction = 256;
constexpr std::uint64_t kMostSlack = 1u << 20;
constexpr std::uint64_t kMemoryBytes = 4u << 20;  // while nothing can be written

// How coarse a grid of sequence numbers this one is on: those of few zeros go first.
int trailing_zeros(std::uint64_t seq) { return std::min(std::countr_zero(seq), 62); }

}  // namespace

Gap Spool::Implementation::gap_of(const std::string& stream, std::uint64_t epoch, std::uint64_t seq,
                                  std::int64_t monotonic_ns, std::int64_t wall_ns, bool this_boot,
                                  GapReason reason) const {
  Gap gap{.stream = stream, .epoch = epoch, .first_seq = seq, .last_seq = seq, .first_time = {}, .last_time = {}};
  if (wall_ns != 0) {
    gap.first_time = base::WallTime{base::Duration{wall_ns}};
  } else if (this_boot) {
    gap.first_time = clock_.to_wall(base::Instant{base::Duration{monotonic_ns}});
  } else if (estimate_ != 0) {
    gap.first_time = base::WallTime{base::Duration{estimate_}};
  }
  gap.last_time = gap.first_time;
  gap.count = 1;
  gap.reason = reason;
  if (reason == GapReason::thin) gap.stride = std::uint64_t{2} << trailing_zeros(seq);
  return gap;
}

// With the policy `newest`: whether a new row finds no room, though what is worth less has made way for it. A spool
// that was full refuses until some room has come together, or it would keep a row here and there.
bool Spool::Implementation::refuses(int worth, std::uint64_t cost) {
  if (settings_.discard_policy != DiscardPolicy::newest || worth > kMostWorthEvicted) return false;
  const std::uint64_t most = settings_.max_bytes;
  if (figures_.bytes <= most - most / 32) refusing_ = false;
  if (worth == 0 && refusing_) return true;
  if (figures_.bytes + cost <= most) return false;
  if (worth > 0) evict(most - std::min(most, cost), GapReason::size, worth - 1);
  refusing_ = true;
  return figures_.bytes + cost > most;
}

void Spool::Implementation::keep_bounds() {
  // A little more than needed at once, so that a full spool does not evict for every message.
  if (figures_.bytes > settings_.max_bytes) {
    evict(settings_.max_bytes - std::min(settings_.max_bytes / 32, kMostSlack), GapReason::size, kMostWorthEvicted);
  }
  if (database_ && trouble_.empty()) return;
  const std::uint64_t most = std::min(settings_.max_bytes, kMemoryBytes);
  if (pending_bytes_ <= most) return;
  const std::uint64_t target = figures_.bytes - std::min(figures_.bytes, pending_bytes_ - (most - most / 32));
  for (int worth = 0; worth <= kMostWorthEvicted; ++worth) evict_from_memory(worth, target, GapReason::size);
}

void Spool::Implementation::evict(std::uint64_t target, GapReason reason, int most_worth) {
  const bool newest = settings_.discard_policy == DiscardPolicy::newest;
  if (settings_.discard_policy == DiscardPolicy::thin) thin(target);
  for (int worth = 0; worth <= most_worth && figures_.bytes > target; ++worth) {
    if (newest) evict_from_memory(worth, target, reason);
    while (database_ && figures_.bytes > target && evict_from_database(worth, target, reason)) {
    }
    if (!newest) evict_from_memory(worth, target, reason);
  }
}

void Spool::Implementation::evict_from_memory(int worth, std::uint64_t target, GapReason reason) {
  const bool newest = settings_.discard_policy == DiscardPolicy::newest;
  const std::size_t size = pending_.size();
  std::vector<std::int64_t> rows;
  std::uint64_t freed = 0;
  for (std::size_t i = 0; i < size && figures_.bytes > target + freed; ++i) {
    const Pending& pending = pending_[newest ? size - 1 - i : i];
    if (pending.gone || pending.row.worth != worth || held_.contains(pending.row.row)) continue;
    freed += pending.cost;
    gaps_.add(gap_of(pending.row.stream, pending.row.epoch, pending.row.seq, pending.row.monotonic_ns,
                     pending.row.wall_ns, pending.row.boot_id == boot_id_, reason));
    rows.push_back(pending.row.row);
  }
  for (const std::int64_t row : rows) {
    if (Pending* pending = find_pending(row)) drop_pending(*pending);
  }
  figures_.dropped_total += rows.size();
}

// Whether anything was removed.
bool Spool::Implementation::evict_from_database(int worth, std::uint64_t target, GapReason reason) {
  const bool newest = settings_.discard_policy == DiscardPolicy::newest;
  std::optional<std::int64_t> beyond;
  while (true) {
    auto found = database_->victims(worth, newest, kRowsPerEviction, beyond);
    if (!found.ok()) {
      fail(found.error());
      return false;
    }
    if (found.value().empty()) return false;
    beyond = found.value().back().row;
    std::vector<SpoolRowHead> rows;
    std::uint64_t freed = 0;
    for (SpoolRowHead& row : found.value()) {
      if (figures_.bytes <= target + freed) break;
      if (held_.contains(row.row)) continue;
      freed += row.cost;
      rows.push_back(std::move(row));
    }
    if (!rows.empty()) return remove_rows(rows, reason);
  }
}

// The newer half stays whole. Of the older half every other state and sample of each stream goes, from the oldest on, then
// every other one of what is left, and so on: an outage of any length ends evenly spaced. What goes at a level are the
// sequence numbers with so many trailing zeros: what is left and what is gone stand on grids of powers of two, however
// often this is begun anew, and a range for each level tells it. Where that takes nothing away any more, the oldest go.
void Spool::Implementation::thin(std::uint64_t target) {
  if (figures_.messages == 0) return;
  const std::uint64_t row_cost_on_average = std::max<std::uint64_t>(1, figures_.bytes / figures_.messages);
  // New rows follow each other closely, so their numbers count them.
  std::int64_t limit = next_row_ - static_cast<std::int64_t>(settings_.max_bytes / 2 / row_cost_on_average);
  for (std::size_t level = 0; level < thinned_to_.size(); ++level) {
    std::int64_t& cursor = thinned_to_[level];
    while (database_ && figures_.bytes > target && cursor < limit) {
      auto found = database_->victims(0, false, kRowsPerEviction, cursor);
      if (!found.ok()) return fail(found.error());
      if (found.value().empty()) cursor = limit;
      std::vector<SpoolRowHead> rows;
      std::uint64_t freed = 0;
      for (SpoolRowHead& head : found.value()) {
        if (figures_.bytes <= target + freed) break;
        cursor = std::min(head.row, limit);
        if (head.row > limit) break;
        if (trailing_zeros(head.seq) > static_cast<int>(level) || held_.contains(head.row)) continue;
        freed += head.cost;
        rows.push_back(std::move(head));
      }
      if (!rows.empty() && !remove_rows(rows, GapReason::thin)) return;
    }
    limit = cursor;
  }
}

// One transaction takes the rows away and says so; the counts change only if it holds.
bool Spool::Implementation::remove_rows(const std::vector<SpoolRowHead>& rows, GapReason reason) {
  GapList told = gaps_;
  std::uint64_t dropped = 0;
  SpoolTotals removed;
  const auto body = [&]() -> base::Status {
    for (const SpoolRowHead& row : rows) {
      auto cost = database_->remove(row.row);
      if (!cost.ok()) return cost.error();
      if (cost.value() == 0) continue;  // no longer there
      ++removed.messages;
      removed.bytes += cost.value();
      if (deletes_.contains(row.row)) continue;  // delivered
      told.add(gap_of(row.stream, row.epoch, row.seq, row.monotonic_ns, row.wall_ns, row.boot_id == boot_id_, reason));
      ++dropped;
    }
    return database_->write_gaps(told, false);
  };
  auto status = database_->begin();
  if (status.ok()) {
    status = body();
    if (status.ok()) {
      status = database_->commit();
    } else {
      database_->rollback();
    }
  }
  if (!status.ok()) {
    fail(status.error());
    return false;
  }
  gaps_ = std::move(told);
  gaps_.written(false);
  for (const SpoolRowHead& row : rows) deletes_.erase(row.row);
  figures_.messages -= std::min(figures_.messages, removed.messages);
  figures_.bytes -= std::min(figures_.bytes, removed.bytes);
  figures_.dropped_total += dropped;
  refresh_rows_since();
  return true;
}

base::Result<Purged> Spool::Implementation::purge(const PurgeFilter& filter) {
  commit();
  if (!database_ || pending_kept_ > 0) return base::Error(base::ErrorCode::io, figures_.trouble);
  Purged purged;
  std::int64_t after = filter.after;
  for (std::size_t looked = 0; filter.messages;) {
    if (looked >= filter.most) {
      purged.ended_at = after;
      return purged;
    }
    auto found = database_->oldest(after, kRowsPerEviction);
    if (!found.ok()) return found.error();
    if (found.value().empty()) break;
    after = found.value().back().row;
    looked += found.value().size();
    std::vector<SpoolRowHead> rows;
    for (SpoolRowHead& row : found.value()) {
      const bool meant = !filter.stream || row.stream == *filter.stream;
      if (meant && row.worth <= kMostWorthEvicted && !held_.contains(row.row)) rows.push_back(std::move(row));
    }
    if (!rows.empty() && !remove_rows(rows, GapReason::purged))
      return base::Error(base::ErrorCode::io, figures_.trouble);
    purged.messages += rows.size();
  }
  if (!filter.dead) return purged;
  auto forgotten = database_->forget_dead_of(filter.stream);
  if (!forgotten.ok()) return forgotten.error();
  purged.dead = forgotten.value();
  if (auto dead = database_->dead(); dead.ok()) dead_ = std::move(dead).value();
  return purged;
}

// Within a boot the monotonic clock tells the age; of older boots only a wall clock that can be trusted does.
bool Spool::Implementation::aged(std::int64_t monotonic_ns, std::int64_t wall_ns, bool this_boot) const {
  if (this_boot) return clock_.now() - base::Instant{base::Duration{monotonic_ns}} > settings_.max_age;
  return wall_ns != 0 && clock_.synchronised() &&
         clock_.wall_now() - base::WallTime{base::Duration{wall_ns}} > settings_.max_age;
}

void Spool::Implementation::evict_aged() {
  std::int64_t after = 0;
  bool more = true;
  while (database_ && more) {
    auto found = database_->oldest(after, kRowsPerEviction);
    if (!found.ok()) return fail(found.error());
    std::vector<SpoolRowHead> rows;
    more = found.value().size() == kRowsPerEviction;
    for (SpoolRowHead& row : found.value()) {
      after = row.row;
      if (row.worth > kMostWorthEvicted || held_.contains(row.row)) continue;
      if (!aged(row.monotonic_ns, row.wall_ns, row.boot_id == boot_id_)) {
        more = false;  // rows stand in order of time
        break;
      }
      rows.push_back(std::move(row));
    }
    if (!rows.empty() && !remove_rows(rows, GapReason::age)) return;
  }
  std::vector<std::int64_t> gone;
  for (const Pending& pending : pending_) {
    if (pending.gone || pending.row.worth > kMostWorthEvicted || held_.contains(pending.row.row)) continue;
    if (!aged(pending.row.monotonic_ns, pending.row.wall_ns, pending.row.boot_id == boot_id_)) break;
    gaps_.add(gap_of(pending.row.stream, pending.row.epoch, pending.row.seq, pending.row.monotonic_ns,
                     pending.row.wall_ns, pending.row.boot_id == boot_id_, GapReason::age));
    gone.push_back(pending.row.row);
  }
  for (const std::int64_t row : gone) {
    if (Pending* pending = find_pending(row)) drop_pending(*pending);
  }
  figures_.dropped_total += gone.size();
}

}  // namespace twinkeeper::uplink
