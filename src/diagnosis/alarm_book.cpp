#include "twinkeeper/diagnosis/alarm_book.hpp"

#include <algorithm>

namespace twinkeeper::diagnosis {

AlarmBook::Entry::Entry(const Entry& other)
    : delays(other.delays),
      definition(other.definition ? std::make_unique<AlarmDefinition>(*other.definition) : nullptr),
      told(other.told ? std::make_unique<AnomalyEvent>(*other.told) : nullptr),
      active(other.active),
      changed(other.changed),
      on_since(other.on_since),
      off_since(other.off_since),
      last_told(other.last_told),
      occurrences(other.occurrences) {}

AlarmBook::AlarmBook(OwnerKind owner_kind, std::string owner) : owner_kind_(owner_kind), owner_(std::move(owner)) {}

AlarmHandle AlarmBook::add(AlarmDefinition definition) {
  const AlarmHandle alarm = add(AlarmDelays{definition.on_delay, definition.off_delay});
  entries_[alarm].definition = std::make_unique<AlarmDefinition>(std::move(definition));
  return alarm;
}

AlarmHandle AlarmBook::add(AlarmDelays delays) {
  Entry entry;
  entry.delays = delays;
  entries_.push_back(std::move(entry));
  return entries_.size() - 1;
}

AlarmBook::Move AlarmBook::next(AlarmHandle alarm, bool condition, base::Instant now) {
  Entry& entry = entries_[alarm];
  if (!entry.active) {
    if (!condition) {
      entry.on_since.reset();
      return Move::none;
    }
    if (!entry.on_since) entry.on_since = now;
    return now - *entry.on_since >= entry.delays.on ? Move::open : Move::none;
  }
  if (!condition) {
    if (!entry.off_since) entry.off_since = now;
    return now - *entry.off_since >= entry.delays.off ? Move::close : Move::none;
  }
  entry.off_since.reset();
  return entry.changed && now - entry.last_told >= kChangeInterval ? Move::change : Move::none;
}

AnomalyEvent& AlarmBook::perform(Entry& entry, Move move, base::Instant now) {
  if (move == Move::open) {
    open(entry, now);
  } else if (move == Move::close) {
    close(entry, now);
  } else {
    entry.told->event = AnomalyEventKind::changed;
    entry.told->time = now;
  }
  entry.changed = false;
  entry.last_told = now;
  return *entry.told;
}

void AlarmBook::open(Entry& entry, base::Instant now) {
  const AlarmDefinition& definition = *entry.definition;
  entry.told = std::make_unique<AnomalyEvent>();
  AnomalyEvent& event = *entry.told;
  event.owner_kind = owner_kind_;
  event.owner = owner_;
  event.id = definition.id;
  event.occurrence = ++entry.occurrences;
  event.kind = definition.kind;
  event.test = definition.test;
  event.message = definition.message;
  event.advice = definition.advice;
  event.tags = definition.tags;
  event.severity = definition.severity;
  event.ne107 = definition.ne107;
  event.unit = definition.unit;
  event.time = event.raised_at = now;
  event.onset = entry.on_since.value_or(now);
  entry.active = true;
  entry.on_since.reset();
  entry.off_since.reset();
  ++active_count_;
}

void AlarmBook::close(Entry& entry, base::Instant now) {
  entry.active = false;
  entry.on_since.reset();
  entry.off_since.reset();
  AnomalyEvent& event = *entry.told;
  event.event = AnomalyEventKind::cleared;
  event.state = AnomalyState::returned;
  event.time = now;
  event.cleared_at = now;
  if (!entry.definition->message_cleared.empty()) event.message = entry.definition->message_cleared;
  --active_count_;
}

void AlarmBook::mark_changed(AlarmHandle alarm) {
  if (entries_[alarm].active) entries_[alarm].changed = true;
}

void AlarmBook::drop_pending(AlarmHandle alarm) { entries_[alarm].on_since.reset(); }

bool AlarmBook::pending(AlarmHandle alarm) const {
  return !entries_[alarm].active && entries_[alarm].on_since.has_value();
}

std::vector<std::string> AlarmBook::active_ids() const {
  std::vector<std::string> ids;
  active_ids(ids);
  return ids;
}

void AlarmBook::active_ids(std::vector<std::string>& out) const {
  std::size_t count = 0;
  if (active_count_ > 0) {
    for (const Entry& entry : entries_) {
      if (!entry.active) continue;
      if (count < out.size()) {
        out[count] = entry.definition->id;
      } else {
        out.push_back(entry.definition->id);
      }
      ++count;
    }
  }
  out.resize(count);
}

Priority AlarmBook::highest_priority() const {
  Priority highest = Priority::none;
  if (active_count_ == 0) return highest;
  for (const Entry& entry : entries_) {
    if (entry.active) highest = std::max(highest, priority_of(entry.told->severity));
  }
  return highest;
}

}  // namespace twinkeeper::diagnosis
