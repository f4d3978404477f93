#include "twinkeeper/diagnosis/alarm_book.hpp"

#include <algorithm>
#include <string>

namespace twinkeeper::diagnosis {

AlarmBook::Entry::Entry(const Entry& other)
    : delays(other.delays),
      definition(other.definition ? std::make_unique<AlarmDefinition>(*other.definition) : nullptr),
      told(other.told ? std::make_unique<AnomalyEvent>(*other.told) : nullptr),
      active(other.active),
      changed(other.changed),
      held(other.held),
      kept(other.kept),
      told_kept(other.told_kept),
      latched(other.latched),
      acknowledged(other.acknowledged),
      silenced(other.silenced),
      raised_at(other.raised_at),
      on_since(other.on_since),
      off_since(other.off_since),
      last_told(other.last_told),
      occurrences(other.occurrences) {}

AlarmBook::AlarmBook(OwnerKind owner_kind, std::string owner, std::optional<int> latch_severity)
    : owner_kind_(owner_kind), owner_(std::move(owner)), latch_severity_(latch_severity) {}

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
  if (!entry.active || entry.latched) {
    if (!condition) {
      entry.on_since.reset();
      return Move::none;
    }
    if (!entry.on_since) entry.on_since = now;
    if (now - *entry.on_since < entry.delays.on) return Move::none;
    if (!entry.latched) return Move::open;
    entry.latched = false;
    entry.changed = true;
    --latched_;
  }
  entry.kept = !condition && entry.held;
  entry.changed = entry.changed || (entry.kept && !entry.told_kept);
  entry.told_kept = entry.told_kept || entry.kept;
  if (!condition && !entry.kept) {
    if (!entry.off_since) entry.off_since = now;
    if (now - *entry.off_since < entry.delays.off) return Move::none;
    if (!latches(entry)) return Move::close;
    return now - entry.last_told >= kChangeInterval ? Move::latch : Move::none;
  }
  entry.on_since.reset();
  entry.off_since.reset();
  return entry.changed && now - entry.last_told >= kChangeInterval ? Move::change : Move::none;
}

bool AlarmBook::latches(const Entry& entry) const {
  return latch_severity_ && entry.told->severity >= *latch_severity_ && !entry.acknowledged &&
         withheld(entry) == nullptr;
}

AnomalyEvent& AlarmBook::perform(Entry& entry, Move move, base::Instant now) {
  if (move == Move::open) {
    open(entry, now);
  } else if (move == Move::close) {
    close(entry, now);
  } else {
    if (move == Move::latch) {
      entry.latched = true;
      entry.off_since.reset();
      ++latched_;
    }
    entry.told->event = AnomalyEventKind::changed;
    entry.told->time = now;
    mark_state(entry);
  }
  entry.changed = false;
  entry.last_told = now;
  return *entry.told;
}

void AlarmBook::say_latched(Entry& entry) {
  std::string& message = entry.told->message;
  if (!entry.definition->message_cleared.empty()) message = entry.definition->message_cleared;
  message += " The alarm stands until it is acknowledged.";
}

void AlarmBook::open(Entry& entry, base::Instant now) {
  const AlarmDefinition& definition = *entry.definition;
  entry.told = std::make_unique<AnomalyEvent>();
  AnomalyEvent& event = *entry.told;
  event.owner_kind = owner_kind_;
  event.owner = owner_;
  event.id = definition.id;
  event.occurrence = ++entry.occurrences;
  std::rotate(entry.raised_at.begin(), entry.raised_at.begin() + 1, entry.raised_at.end());
  entry.raised_at.back() = now;
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
  entry.acknowledged = false;
  ++standing_;
  if (const auto before = acknowledged_before_.find(event.id); before != acknowledged_before_.end()) {
    if (now <= before->second.until) {
      entry.acknowledged = true;
      event.by = before->second.by;
      event.comment = before->second.comment;
    }
    acknowledged_before_.erase(before);
  }
  if (const OperatorWord* word = withheld(entry)) {
    event.by = word->by;
    event.comment = word->comment;
  }
  mark_state(entry);
}

void AlarmBook::close(Entry& entry, base::Instant now) {
  if (entry.latched) --latched_;
  entry.active = entry.latched = entry.held = entry.kept = entry.told_kept = false;
  entry.on_since.reset();
  entry.off_since.reset();
  entry.acknowledged = false;
  AnomalyEvent& event = *entry.told;
  event.event = AnomalyEventKind::cleared;
  event.state = AnomalyState::returned;
  event.time = now;
  event.cleared_at = now;
  if (!entry.definition->message_cleared.empty()) event.message = entry.definition->message_cleared;
  --standing_;
}

void AlarmBook::silence_chatter(Entry& entry, base::Instant now, std::vector<AnomalyEvent>& out) {
  if (entry.occurrences < kChatterRaises || now - entry.raised_at.front() > kChatterWindow || withheld(entry)) return;
  const OperatorWord word{
      "twinkeeper",
      "it chatters: raised " + std::to_string(kChatterRaises) + " times within an hour, not told again for ten minutes",
      now + kChatterShelf};
  shelves_[entry.definition->id] = word;
  find_next_end();
  tell_order(entry, AnomalyEventKind::shelved, word, now, out);
  entry.silenced = true;
}

void AlarmBook::mark_changed(AlarmHandle alarm) {
  if (entries_[alarm].active) entries_[alarm].changed = true;
}

void AlarmBook::drop_pending(AlarmHandle alarm) { entries_[alarm].on_since.reset(); }

bool AlarmBook::pending(AlarmHandle alarm) const {
  return !entries_[alarm].active && entries_[alarm].on_since.has_value();
}

AlarmBook::Entry* AlarmBook::find(const std::string& id) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.definition && entry.definition->id == id; });
  return found == entries_.end() ? nullptr : &*found;
}

// Alarms of the gateway are shared out among several books, all of them defined from the start.
bool AlarmBook::owns(const std::string& id) {
  if (owner_kind_ == OwnerKind::gateway) return find(id) != nullptr;
  return id.size() > owner_.size() && id.compare(0, owner_.size(), owner_) == 0 && id[owner_.size()] == '.';
}

const OperatorWord* AlarmBook::withheld(const Entry& entry) const {
  if (suppression_) return &*suppression_;
  const auto shelf = shelves_.find(entry.definition->id);
  return shelf == shelves_.end() ? nullptr : &shelf->second;
}

void AlarmBook::mark_state(Entry& entry) const {
  const OperatorWord* word = withheld(entry);
  AnomalyEvent& event = *entry.told;
  event.state = word != nullptr      ? (suppression_ ? AnomalyState::suppressed : AnomalyState::shelved)
                : !entry.active      ? AnomalyState::returned
                : entry.acknowledged ? AnomalyState::acknowledged
                                     : AnomalyState::active;
  event.shelved_until = word != nullptr ? std::optional(word->until) : std::nullopt;
}

void AlarmBook::tell_order(Entry& entry, AnomalyEventKind kind, const OperatorWord& word, base::Instant now,
                           std::vector<AnomalyEvent>& out) const {
  AnomalyEvent& event = *entry.told;
  event.event = kind;
  event.time = now;
  event.by = word.by;
  event.comment = word.comment;
  mark_state(entry);
  out.push_back(event);
}

AlarmBook::Answer AlarmBook::acknowledge(const std::string& id, const OperatorWord& word, base::Instant now,
                                         std::vector<AnomalyEvent>& out) {
  if (!owns(id)) return std::nullopt;
  Entry* entry = find(id);
  if (entry == nullptr || !entry->active) return id + " does not stand";
  if (entry->acknowledged) return id + " is acknowledged already";
  entry->acknowledged = true;
  tell_order(*entry, AnomalyEventKind::acknowledged, word, now, out);
  if (entry->latched)
    tell(static_cast<AlarmHandle>(entry - entries_.data()), Move::close, now, out, [](AnomalyEvent&) {});
  return "";
}

AlarmBook::Answer AlarmBook::shelve(const std::string& id, const OperatorWord& word, base::Instant now,
                                    std::vector<AnomalyEvent>& out) {
  if (!owns(id)) return std::nullopt;
  Entry* entry = find(id);
  const bool raised = entry != nullptr && entry->told != nullptr;
  if (!raised && shelves_.count(id) == 0) return id + " was never raised";
  shelves_[id] = word;
  if (entry != nullptr) entry->silenced = false;
  find_next_end();
  if (raised) tell_order(*entry, AnomalyEventKind::shelved, word, now, out);
  return "";
}

AlarmBook::Answer AlarmBook::unshelve(const std::string& id, const OperatorWord& word, base::Instant now,
                                      std::vector<AnomalyEvent>& out) {
  if (!owns(id)) return std::nullopt;
  if (shelves_.erase(id) == 0) return id + " is not shelved";
  find_next_end();
  Entry* entry = find(id);
  if (entry != nullptr) entry->silenced = false;
  if (entry != nullptr && entry->told) tell_order(*entry, AnomalyEventKind::unshelved, word, now, out);
  return "";
}

AlarmBook::Answer AlarmBook::suppress(const std::string& owner, const OperatorWord& word, base::Instant now,
                                      std::vector<AnomalyEvent>& out) {
  if (owner_kind_ == OwnerKind::gateway || owner != owner_) return std::nullopt;
  if (word.until <= now) {
    if (!suppression_) return owner + " is not in maintenance";
    end_suppression(word, now, out);
    return "";
  }
  suppression_ = word;
  find_next_end();
  for (Entry& entry : entries_) {
    if (entry.active) tell_order(entry, AnomalyEventKind::suppressed, word, now, out);
  }
  return "";
}

void AlarmBook::end_suppression(const OperatorWord& word, base::Instant now, std::vector<AnomalyEvent>& out) {
  suppression_.reset();
  find_next_end();
  for (Entry& entry : entries_) {
    if (entry.active) tell_order(entry, AnomalyEventKind::unsuppressed, word, now, out);
  }
}

void AlarmBook::end_what_is_over(base::Instant now, std::vector<AnomalyEvent>& out) {
  const OperatorWord over{"", "its time is over", now};
  std::vector<std::string> ids;
  for (const auto& [id, word] : shelves_) {
    if (word.until <= now) ids.push_back(id);
  }
  for (const std::string& id : ids) unshelve(id, over, now, out);
  if (suppression_ && suppression_->until <= now) end_suppression(over, now, out);
}

void AlarmBook::find_next_end() {
  next_end_ = suppression_ ? suppression_->until : base::Instant::max();
  for (const auto& [id, word] : shelves_) next_end_ = std::min(next_end_, word.until);
}

void AlarmBook::restore_shelf(const std::string& id, const OperatorWord& word) {
  if (!owns(id)) return;
  shelves_[id] = word;
  find_next_end();
}

void AlarmBook::restore_suppression(const std::string& owner, const OperatorWord& word) {
  if (owner_kind_ == OwnerKind::gateway || owner != owner_) return;
  suppression_ = word;
  find_next_end();
}

void AlarmBook::restore_acknowledgement(const std::string& id, std::uint32_t occurrence, const OperatorWord& word) {
  if (!owns(id)) return;
  Entry* entry = find(id);
  if (entry == nullptr || !entry->told) {
    acknowledged_before_[id] = word;
  } else if (entry->active && entry->occurrences == occurrence) {
    entry->acknowledged = true;
    entry->told->by = word.by;
    entry->told->comment = word.comment;
  }
}

void AlarmBook::standing(std::vector<AnomalyEvent>& out) {
  for (Entry& entry : entries_) {
    if (!entry.active) continue;
    mark_state(entry);
    out.push_back(*entry.told);
  }
}

std::vector<std::string> AlarmBook::active_ids() const {
  std::vector<std::string> ids;
  active_ids(ids);
  return ids;
}

namespace {

// Keeps the room that the texts have taken before.
void put(std::vector<std::string>& out, std::size_t place, const std::string& text) {
  if (place < out.size()) {
    out[place] = text;
  } else {
    out.push_back(text);
  }
}

}  // namespace

void AlarmBook::active_ids(std::vector<std::string>& out) const {
  std::size_t count = 0;
  if (standing_ > 0 && !suppression_) {
    for (const Entry& entry : entries_) {
      if (entry.active && withheld(entry) == nullptr) put(out, count++, entry.definition->id);
    }
  }
  out.resize(count);
}

void AlarmBook::shelved_ids(std::vector<std::string>& out) const {
  std::size_t count = 0;
  for (const auto& [id, word] : shelves_) put(out, count++, id);
  if (standing_ > 0 && suppression_) {
    for (const Entry& entry : entries_) {
      if (entry.active && shelves_.count(entry.definition->id) == 0) put(out, count++, entry.definition->id);
    }
  }
  out.resize(count);
}

Priority AlarmBook::highest_priority() const {
  Priority highest = Priority::none;
  if (standing_ == 0 || suppression_) return highest;
  for (const Entry& entry : entries_) {
    if (entry.active && withheld(entry) == nullptr) highest = std::max(highest, priority_of(entry.told->severity));
  }
  return highest;
}

}  // namespace twinkeeper::diagnosis
