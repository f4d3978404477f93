// The gateway's own anomalies (P/anomaly): the broker away, messages discarded or refused, a disk that takes
// nothing, a certificate about to expire. Thread rule: one thread.
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
  std::string refused;                             // topics, reasons and how many messages are kept
  std::string spool_trouble;                       // empty: the disk is well
  std::optional<base::Duration> certificate_left;  // negative: expired
};

class GatewayDiagnosis {
 public:
  explicit GatewayDiagnosis(base::Instant start);

  // Call about once a second.
  [[nodiscard]] std::vector<diagnosis::AnomalyEvent> evaluate(base::Instant now, const GatewayCondition& condition);

 private:
  diagnosis::AlarmBook book_;
  diagnosis::AlarmHandle connection_, spool_, refused_, disk_, certificate_;
  std::uint64_t dropped_before_ = 0;
  std::uint64_t refused_before_ = 0;
  base::Instant dropped_at_;
  base::Instant refused_at_;
};

}  // namespace twinkeeper::app
