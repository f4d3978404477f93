// AlarmBook: the life of the anomalies of one owner (a twin, a device, the gateway), from condition to event.
//
//   condition on for on_delay without a break              → raised   (occurrence + 1, state active)
//   marked as changed while raised                         → changed  (at most once in kChangeInterval)
//   condition off for off_delay without a break            → cleared  (state returned)
// A condition that comes back within off_delay is the same occurrence. All alarms an owner can ever have are defined at
// start-up; ids are stable and occurrences are counted for as long as the book lives.
//
// The book keeps the event last told of each alarm. Text and figures are written only when an event is due: update()
// then calls describe(AnomalyEvent&), whose `event` says which it is; identity, state and times are filled in already,
// and at `raised` the fixed parts of the definition. At `changed` and `cleared` the earlier content is still there.
// A gateway has thousands of alarms that never come: add(delays) takes no text, and update() then asks for the
// definition when the alarm is raised for the first time.
// Errors: none. Thread rule: one thread. Allocation: update() none while no event is due.
// Source: condition, delays and states after ISA-18.2 / IEC 62682.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"

namespace twinkeeper::diagnosis {

struct AlarmDefinition {
  std::string id;  // "tanks.level_2.stuck"
  AnomalyKind kind = AnomalyKind::sensor;
  std::string test;
  std::string message;  // while it stands
  std::string message_cleared;
  std::string advice;
  std::vector<std::string> tags;
  int severity = 500;
  NamurStatus ne107 = NamurStatus::failure;
  std::string unit;
  base::Duration on_delay{};
  base::Duration off_delay{};
};

struct AlarmDelays {
  base::Duration on{};
  base::Duration off{};
};

using AlarmHandle = std::size_t;

class AlarmBook {
 public:
  static constexpr base::Duration kChangeInterval = std::chrono::minutes{1};

  AlarmBook(OwnerKind owner_kind, std::string owner);

  [[nodiscard]] AlarmHandle add(AlarmDefinition definition);  // at start-up
  [[nodiscard]] AlarmHandle add(AlarmDelays delays);          // to be updated with update_defined()

  // True if an event was appended to `out`. Instants must not go back.
  template <class Describe>
  bool update(AlarmHandle alarm, bool condition, base::Instant now, std::vector<AnomalyEvent>& out,
              Describe&& describe) {
    return tell(alarm, next(alarm, condition, now), now, out, std::forward<Describe>(describe));
  }
  // The same for an alarm without a definition yet: define() gives it at the first raising.
  template <class Define, class Describe>
  bool update_defined(AlarmHandle alarm, bool condition, base::Instant now, std::vector<AnomalyEvent>& out,
                      Define&& define, Describe&& describe) {
    const Move move = next(alarm, condition, now);
    if (move == Move::open && !entries_[alarm].definition) {
      entries_[alarm].definition = std::make_unique<AlarmDefinition>(std::forward<Define>(define)());
    }
    return tell(alarm, move, now, out, std::forward<Describe>(describe));
  }
  bool update(AlarmHandle alarm, bool condition, base::Instant now, std::vector<AnomalyEvent>& out) {
    return update(alarm, condition, now, out, [](AnomalyEvent&) {});
  }
  // Clears without waiting for off_delay; false if it does not stand.
  template <class Describe>
  bool clear_now(AlarmHandle alarm, base::Instant now, std::vector<AnomalyEvent>& out, Describe&& describe) {
    const Move move = entries_[alarm].active ? Move::close : Move::none;
    return tell(alarm, move, now, out, std::forward<Describe>(describe));
  }
  // A `changed` is due at one of the next updates with the condition on.
  void mark_changed(AlarmHandle alarm);
  // Forgets a condition that has not lasted for its on_delay yet.
  void drop_pending(AlarmHandle alarm);

  [[nodiscard]] bool active(AlarmHandle alarm) const { return entries_[alarm].active; }
  [[nodiscard]] bool pending(AlarmHandle alarm) const;
  // The event last told; only of an alarm that was raised at least once.
  [[nodiscard]] const AnomalyEvent& told(AlarmHandle alarm) const { return *entries_[alarm].told; }
  // Only of an alarm that was added with one or raised at least once.
  [[nodiscard]] const AlarmDefinition& definition(AlarmHandle alarm) const { return *entries_[alarm].definition; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // What stands now. active_ids(out) replaces the content of `out`, in order of definition.
  [[nodiscard]] std::size_t active_count() const { return active_count_; }
  [[nodiscard]] std::vector<std::string> active_ids() const;
  void active_ids(std::vector<std::string>& out) const;
  [[nodiscard]] Priority highest_priority() const;

  // Into a book with the same alarms, all of them added with a definition.
  template <class Archive>
  void archive(Archive& a) {
    a(entries_, active_count_);
  }

 private:
  enum class Move : std::uint8_t { none, open, change, close };
  struct Entry {
    Entry() = default;
    Entry(Entry&&) = default;
    Entry& operator=(Entry&&) = default;
    Entry(const Entry& other);  // with a definition and an event of its own
    Entry& operator=(const Entry& other) { return *this = Entry(other); }

    AlarmDelays delays;
    std::unique_ptr<AlarmDefinition> definition;
    std::unique_ptr<AnomalyEvent> told;
    bool active = false;
    bool changed = false;
    std::optional<base::Instant> on_since;   // condition on, not raised yet
    std::optional<base::Instant> off_since;  // raised, condition off
    base::Instant last_told;
    std::uint32_t occurrences = 0;

    template <class Archive>
    void archive(Archive& a) {
      a(told, active, changed, on_since, off_since, last_told, occurrences);
    }
  };

  template <class Describe>
  bool tell(AlarmHandle alarm, Move move, base::Instant now, std::vector<AnomalyEvent>& out, Describe&& describe) {
    if (move == Move::none) return false;
    AnomalyEvent& event = perform(entries_[alarm], move, now);
    std::forward<Describe>(describe)(event);
    out.push_back(event);
    return true;
  }
  Move next(AlarmHandle alarm, bool condition, base::Instant now);
  AnomalyEvent& perform(Entry& entry, Move move, base::Instant now);
  void open(Entry& entry, base::Instant now);
  void close(Entry& entry, base::Instant now);

  OwnerKind owner_kind_;
  std::string owner_;
  std::vector<Entry> entries_;
  std::size_t active_count_ = 0;
};

}  // namespace twinkeeper::diagnosis
