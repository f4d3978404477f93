// The alarms of the gateway as a person sees them, and what operators have said of them, kept beyond a restart.
//
// The list follows the events: an alarm is on it while it stands or is shelved. The file holds what operators have said
// (acknowledged, shelved, in maintenance), in wall time; it is replaced whenever that changes. Alarms themselves are not in
// it: they are as the diagnosis finds them after the start.
//   acknowledged  holds for the same occurrence; of alarms that begin anew with the service for what is raised within
//                 kAcknowledgedAnew of the start
//   shelved, in maintenance  until their time, at most kLongestShelving from now whatever the clock says
// Errors: none; a file that can't be read or written is told. One that is damaged or of another version is kept as
// *.damaged or *.other_version. Thread rule: one thread, the spool thread once it runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

inline constexpr base::Duration kLongestShelving = std::chrono::hours{7 * 24};
inline constexpr base::Duration kAcknowledgedAnew = std::chrono::minutes{2};

// What operators have said.
struct OperatorWords {
  struct Acknowledged {
    std::uint32_t occurrence = 0;
    diagnosis::OperatorWord word;
  };
  std::map<std::string, Acknowledged> acknowledged;            // by id
  std::map<std::string, diagnosis::OperatorWord> shelved;      // by id
  std::map<std::string, diagnosis::OperatorWord> maintenance;  // by twin or device

  void restore(diagnosis::AlarmBook& book) const;
};

class AlarmList {
 public:
  // Reads the file.
  AlarmList(std::string file, const base::Clock& clock, signals::EventSink& events);

  [[nodiscard]] const OperatorWords& words() const { return words_; }
  // An event that is published, and one that was told before a restart and stands.
  void observe(const diagnosis::AnomalyEvent& event);
  // `word.until` not after now: it has ended.
  void maintain(const std::string& owner, const diagnosis::OperatorWord& word);

  // Forgets acknowledgements from before the start whose alarms are not back by then. To be called now and then.
  void run();

  // Members of a JSON object: `alarms` by priority and age, `shelved` that were not raised since the start,
  // `maintenance`.
  [[nodiscard]] std::string members() const;

 private:
  void read();
  void save();
  [[nodiscard]] std::string text() const;
  void drop_what_is_over();

  const std::string file_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  const base::Instant started_;
  bool from_before_ = true;  // whether acknowledgements may be of alarms that are not back
  OperatorWords words_;
  std::map<std::string, diagnosis::AnomalyEvent> alarms_;
  std::string saved_;
  bool failed_ = false;
};

}  // namespace twinkeeper::app
