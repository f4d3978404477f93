#include "twinkeeper/diagnosis/alarm_book.hpp"

#include <algorithm>

namespace twinkeeper::diagnosis {

AlarmBook::AlarmBook(OwnerKind owner_kind, std::string owner) : owner_kind_(owner_kind), owner_(std::move(owner)) {}

AlarmHandle AlarmBook::add(AlarmDefinition definition) {
  Entry entry;
  entry.told.owner_kind = owner_kind_;
  entry.told.owner = owner_;
  entry.told.id = definition.id;
  entry.definition = std::move(definition);
  entries_.push_back(std::move(entry));
  return entries_.size() - 1;
}

AnomalyEvent* AlarmBook::advance(AlarmHandle alarm, bool condition, base::Instant now) {
  Entry& entry = entries_[alarm];
  if (!entry.active) {
    if (!condition) {
      entry.on_since.reset();
      return nullptr;
    }
    if (!entry.on_since) entry.on_since = now;
    return now - *entry.on_since >= entry.definition.on_delay ? open(entry, now) : nullptr;
  }
  if (!condition) {
    if (!entry.off_since) entry.off_since = now;
    return now - *entry.off_since >= entry.definition.off_delay ? close(alarm, now) : nullptr;
  }
  entry.off_since.reset();
  if (!entry.changed || now - entry.last_told < kChangeInterval) return nullptr;
  entry.changed = false;
  entry.last_told = now;
  entry.told.event = AnomalyEventKind::changed;
  entry.told.time = now;
  return &entry.told;
}

AnomalyEvent* AlarmBook::open(Entry& entry, base::Instant now) {
  const AlarmDefinition& definition = entry.definition;
  AnomalyEvent event;
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
  entry.told = std::move(event);
  entry.active = true;
  entry.changed = false;
  entry.on_since.reset();
  entry.off_since.reset();
  entry.last_told = now;
  ++active_count_;
  return &entry.told;
}

AnomalyEvent* AlarmBook::close(AlarmHandle alarm, base::Instant now) {
  Entry& entry = entries_[alarm];
  if (!entry.active) return nullptr;
  entry.active = false;
  entry.changed = false;
  entry.on_since.reset();
  entry.off_since.reset();
  entry.last_told = now;
  entry.told.event = AnomalyEventKind::cleared;
  entry.told.state = AnomalyState::returned;
  entry.told.time = now;
  entry.told.cleared_at = now;
  if (!entry.definition.message_cleared.empty()) entry.told.message = entry.definition.message_cleared;
  --active_count_;
  return &entry.told;
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
        out[count] = entry.definition.id;
      } else {
        out.push_back(entry.definition.id);
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
    if (entry.active) highest = std::max(highest, priority_of(entry.told.severity));
  }
  return highest;
}

}  // namespace twinkeeper::diagnosis
