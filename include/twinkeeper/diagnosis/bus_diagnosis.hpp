// BusDiagnosis: the one alarm of a controller behind which several devices stand: none of them is heard any more.
//
//   id                               kind           when
//   gateway.<first device>.connection communication  every device of the controller is lost; lists all their tags
// One cause, one alarm: while its condition holds, the devices' own alarms of the connection are covered: those not
// raised yet stay away, those that stand are cleared with caused_by once this one is raised (see DeviceDiagnosis).
//
// Delays: the longest of the devices', because the slowest of them decides whether all are lost.
// Errors: none. Thread rule: one thread. Allocation: evaluate() none while no event is due.
#pragma once

#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/diagnosis/device_diagnosis.hpp"

namespace twinkeeper::diagnosis {

class BusDiagnosis {
 public:
  // `devices`: at least two, in the configuration's order.
  BusDiagnosis(const std::string& controller, const std::vector<DeviceDiagnosisSetup>& devices);

  // `device` is a position in the constructor's list. Appends the events of this instant to `out` and returns what
  // covers that device's alarm of the connection.
  Cover evaluate(base::Instant now, std::size_t device, bool lost, std::vector<AnomalyEvent>& out);

  [[nodiscard]] AlarmBook& alarms() { return book_; }  // for an operator's orders

 private:
  AlarmBook book_;
  AlarmHandle connection_ = 0;
  std::string id_;
  std::vector<bool> lost_;
};

}  // namespace twinkeeper::diagnosis
