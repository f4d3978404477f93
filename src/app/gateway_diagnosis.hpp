// The gateway's own anomalies (P/anomaly): the broker away, messages discarded or refused, a certificate about to
// expire. Thread rule: one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"

namespace twinkeeper::app {

struct GatewayCondition {
  bool connected = false;
  std::string endpoint;
  std::uint64_t spool_dropped_total = 0;
  std::uint64_t refused_total = 0;
  std::optional<base::Duration> certificate_left;  // negative: expired
};

class GatewayDiagnosis {
 public:
  explicit GatewayDiagnosis(base::Instant start);

  // Call about once a second.
  [[nodiscard]] std::vector<diagnosis::AnomalyEvent> evaluate(base::Instant now, const GatewayCondition& condition);

  [[nodiscard]] diagnosis::AlarmBook& alarms() { return book_; }  // for an operator's orders

 private:
  diagnosis::AlarmBook book_;
  diagnosis::AlarmHandle connection_, spool_, refused_, certificate_;
  std::uint64_t dropped_before_ = 0;
  std::uint64_t refused_before_ = 0;
  base::Instant dropped_at_;
  base::Instant refused_at_;
};

}  // namespace twinkeeper::app
