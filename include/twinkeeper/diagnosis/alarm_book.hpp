// AlarmBook: the life of the anomalies of one owner (a twin, a device, the gateway), from condition to event.
//
//   condition on for on_delay without a break              → raised   (occurrence + 1, state active)
//   marked as changed while raised                         → changed  (at most once in kChangeInterval)
//   condition off for off_delay without a break            → cleared  (state returned)
// What an operator says of it (never of its condition, which goes on as it does):
//   acknowledged            while it stands            → acknowledged until it clears
//   shelved, for a time     of one alarm               → shelved, then unshelved, by word or when the time is over
//   suppressed, for a time  the owner is in maintenance → suppressed, all that stand and all that come, then unsuppressed
// Shelved and suppressed alarms are raised and cleared as ever, their events say so in `state`; they are not among
// active_ids() and count for no priority. What is said more than once replaces what was said before.
//
// Chatter: an alarm that is raised for the kChatterRaises-th time within kChatterWindow is told once more and then shelved by
// the book itself for kChatterShelf, by "twinkeeper", with a comment. Until that is over, or somebody ends it or shelves it
// himself, what it does is not told; `unshelved` says how it stands then. Not while the owner is in maintenance.
//
// Latching: an alarm of latch_severity or more that nobody has acknowledged outlives its condition. off_delay after it a
// `changed` says so; the next condition goes on with the same occurrence, an acknowledgement clears it at once. Not what is
// shelved or suppressed when the condition ends. To its owner such an alarm is no longer active().
//
// An owner can hold an alarm that stands while what was found is only hidden: then it does not clear, and one `changed`
// of each occurrence says what the owner knows of it.
//
// A condition that comes back within off_delay is the same occurrence. All alarms an owner can ever have are defined at
// start-up; ids are stable and occurrences are counted for as long as the book lives.
//
// The book keeps the event last told of each alarm. Text and figures are written only when an event is due: update()
// then calls describe(AnomalyEvent&), whose `event` says which it is; identity, state and times are filled in already,
// and at `raised` the fixed parts of the definition. At `changed` and `cleared` the earlier content is still there.
// A gateway has thousands of alarms that never come: add(delays) takes no text, and update() then asks for the
// definition when the alarm is raised for the first time.
// Errors: an order that can't be carried out says why. Thread rule: one thread. Allocation: update() none while no
// event is due. The archive holds no word of an operator: those are restored by themselves, see below.
// Source: condition, delays and states after ISA-18.2 / IEC 62682.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
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

// What an operator has said, and until when it holds.
struct OperatorWord {
  std::string by;
  std::string comment;
  base::Instant until;  // of shelving and suppression
};

class AlarmBook {
 public:
  static constexpr base::Duration kChangeInterval = std::chrono::minutes{1};
  static constexpr std::size_t kChatterRaises = 4;
  static constexpr base::Duration kChatterWindow = std::chrono::hours{1};
  static constexpr base::Duration kChatterShelf = std::chrono::minutes{10};

  // `latch_severity` absent: nothing latches.
  AlarmBook(OwnerKind owner_kind, std::string owner, std::optional<int> latch_severity = std::nullopt);

  [[nodiscard]] AlarmHandle add(AlarmDefinition definition);  // at start-up
  [[nodiscard]] AlarmHandle add(AlarmDelays delays);          // to be updated with update_defined()

  // True if an event was due, and appended to `out` unless the alarm chatters. Instants must not go back.
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
    const Move move = active(alarm) ? Move::close : Move::none;
    return tell(alarm, move, now, out, std::forward<Describe>(describe));
  }
  // A `changed` is due at one of the next updates with the condition on.
  void mark_changed(AlarmHandle alarm);
  // Until the next call: an alarm that stands does not clear without a condition.
  void hold(AlarmHandle alarm, bool on) { entries_[alarm].held = on; }
  // Whether it stands by hold() alone.
  [[nodiscard]] bool kept(AlarmHandle alarm) const { return entries_[alarm].kept; }
  // Forgets a condition that has not lasted for its on_delay yet.
  void drop_pending(AlarmHandle alarm);

  // Not of one that is only latched.
  [[nodiscard]] bool active(AlarmHandle alarm) const { return entries_[alarm].active && !entries_[alarm].latched; }
  [[nodiscard]] bool pending(AlarmHandle alarm) const;
  // The event last told; only of an alarm that was raised at least once.
  [[nodiscard]] const AnomalyEvent& told(AlarmHandle alarm) const { return *entries_[alarm].told; }
  // Only of an alarm that was added with one or raised at least once.
  [[nodiscard]] const AlarmDefinition& definition(AlarmHandle alarm) const { return *entries_[alarm].definition; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // Orders of an operator: nothing if no alarm of this book is meant, else why it can't be done, or an empty text.
  // Events are appended to `out`.
  using Answer = std::optional<std::string>;
  Answer acknowledge(const std::string& id, const OperatorWord& word, base::Instant now,
                     std::vector<AnomalyEvent>& out);
  Answer shelve(const std::string& id, const OperatorWord& word, base::Instant now, std::vector<AnomalyEvent>& out);
  Answer unshelve(const std::string& id, const OperatorWord& word, base::Instant now, std::vector<AnomalyEvent>& out);
  // Of twins and devices. `word.until` not after `now` ends it.
  Answer suppress(const std::string& owner, const OperatorWord& word, base::Instant now,
                  std::vector<AnomalyEvent>& out);
  // Tells what has run out. Costs a comparison while nothing has.
  void end_withheld(base::Instant now, std::vector<AnomalyEvent>& out) {
    if (now >= next_end_) end_what_is_over(now, out);
  }
  // What was said before a restart; nothing is told of it. Words about alarms of other books are passed over. An
  // acknowledgement holds for the same occurrence, or in a book that begins anew for what is raised until word.until.
  void restore_shelf(const std::string& id, const OperatorWord& word);
  void restore_suppression(const std::string& owner, const OperatorWord& word);
  void restore_acknowledgement(const std::string& id, std::uint32_t occurrence, const OperatorWord& word);
  // The event last told of each alarm that stands, as it is now.
  void standing(std::vector<AnomalyEvent>& out);

  // What stands now and is neither shelved nor suppressed. active_ids(out) replaces the content of `out`, in order of definition.
  void active_ids(std::vector<std::string>& out) const;
  [[nodiscard]] std::vector<std::string> active_ids() const;
  [[nodiscard]] Priority highest_priority() const;
  // Those that are shelved, whether they stand or not, and those that stand and are suppressed.
  void shelved_ids(std::vector<std::string>& out) const;
  [[nodiscard]] std::size_t active_count() const { return standing_ - latched_; }  // shelved or not

  // Into a book with the same alarms, all of them added with a definition.
  template <class Archive>
  void archive(Archive& a) {
    a(entries_, standing_, latched_);
  }

 private:
  enum class Move : std::uint8_t { none, open, change, close, latch };
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
    bool held = false, kept = false, told_kept = false;
    bool latched = false;
    bool acknowledged = false;
    bool silenced = false;                                  // by its chatter
    std::array<base::Instant, kChatterRaises> raised_at{};  // the newest last
    std::optional<base::Instant> on_since;                  // condition on, not raised yet
    std::optional<base::Instant> off_since;                 // raised, condition off
    base::Instant last_told;
    std::uint32_t occurrences = 0;

    template <class Archive>
    void archive(Archive& a) {
      a(told, active, changed, held, kept, told_kept, latched, raised_at, on_since, off_since, last_told, occurrences);
    }
  };

  template <class Describe>
  bool tell(AlarmHandle alarm, Move move, base::Instant now, std::vector<AnomalyEvent>& out, Describe&& describe) {
    if (move == Move::none) return false;
    Entry& entry = entries_[alarm];
    AnomalyEvent& event = perform(entry, move, now);
    std::forward<Describe>(describe)(event);
    if (move == Move::latch) say_latched(entry);
    if (entry.silenced) return true;
    out.push_back(event);
    if (move == Move::open) silence_chatter(entry, now, out);
    return true;
  }
  Move next(AlarmHandle alarm, bool condition, base::Instant now);
  AnomalyEvent& perform(Entry& entry, Move move, base::Instant now);
  void open(Entry& entry, base::Instant now);
  void silence_chatter(Entry& entry, base::Instant now, std::vector<AnomalyEvent>& out);
  void close(Entry& entry, base::Instant now);
  static void say_latched(Entry& entry);
  [[nodiscard]] bool latches(const Entry& entry) const;
  [[nodiscard]] Entry* find(const std::string& id);
  [[nodiscard]] bool owns(const std::string& id);
  [[nodiscard]] const OperatorWord* withheld(const Entry& entry) const;
  void mark_state(Entry& entry) const;
  void tell_order(Entry& entry, AnomalyEventKind kind, const OperatorWord& word, base::Instant now,
                  std::vector<AnomalyEvent>& out) const;
  void end_what_is_over(base::Instant now, std::vector<AnomalyEvent>& out);
  void end_suppression(const OperatorWord& word, base::Instant now, std::vector<AnomalyEvent>& out);
  void find_next_end();

  OwnerKind owner_kind_;
  std::string owner_;
  std::optional<int> latch_severity_;
  std::vector<Entry> entries_;
  std::size_t standing_ = 0, latched_ = 0;       // those that are latched stand
  std::map<std::string, OperatorWord> shelves_;  // by id
  std::optional<OperatorWord> suppression_;
  std::map<std::string, OperatorWord> acknowledged_before_;  // a restart, by id
  base::Instant next_end_ = base::Instant::max();
};

}  // namespace twinkeeper::diagnosis
