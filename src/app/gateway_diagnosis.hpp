// The gateway's own anomalies (P/anomaly): the broker away, messages discarded or refused, a disk that takes nothing, a
// certificate, the authority's or a revocation list about to expire. Thread rule: one thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"

namespace twinkeeper::app {

// What expires, in the order of GatewayCondition::left.
inline constexpr std::size_t kCertificate = 0;
inline constexpr std::size_t kRootCa = 1;
inline constexpr std::size_t kCrl = 2;
inline constexpr std::size_t kExpiries = 3;

struct GatewayCondition {
  bool connected = false;
  std::string endpoint;
  std::uint64_t spool_dropped_total = 0;
  std::uint64_t refused_total = 0;
  std::string refused;                                        // topics, reasons and how many messages are kept
  std::string spool_trouble;                                  // empty: the disk is well
  std::array<std::optional<base::Duration>, kExpiries> left;  // until it expires; negative: it has
  std::string first_authority;                                // subject of the one in root_ca that expires first
};

class GatewayDiagnosis {
 public:
  explicit GatewayDiagnosis(base::Instant start);

  // Call about once a second.
  [[nodiscard]] std::vector<diagnosis::AnomalyEvent> evaluate(base::Instant now, const GatewayCondition& condition);

  [[nodiscard]] diagnosis::AlarmBook& alarms() { return book_; }  // for an operator's orders

 private:
  void judge_expiry(std::size_t which, const GatewayCondition& condition, base::Instant now,
                    std::vector<diagnosis::AnomalyEvent>& events);

  diagnosis::AlarmBook book_;
  diagnosis::AlarmHandle connection_, spool_, refused_, disk_;
  std::array<diagnosis::AlarmHandle, kExpiries> expiries_{};
  std::array<bool, kExpiries> urgent_{};
  std::uint64_t dropped_before_ = 0;
  std::uint64_t refused_before_ = 0;
  base::Instant dropped_at_;
  base::Instant refused_at_;
};

}  // namespace twinkeeper::app
