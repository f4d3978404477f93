#include "app/gateway_diagnosis.hpp"

#include <algorithm>

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using diagnosis::AlarmDefinition;
using diagnosis::AnomalyEvent;
using diagnosis::AnomalyKind;
using diagnosis::NamurStatus;

constexpr base::Duration kWarnBefore = 30 * 24h;
constexpr base::Duration kRecent = 60s;  // a loss counts as going on for this long after the newest one

AlarmDefinition connection_definition() {
  return {"gateway.uplink",
          AnomalyKind::communication,
          "connection",
          "The broker has been away; messages wait in the spool",
          "The broker is there again",
          "Check the network, the broker and the certificates; the log names the cause",
          {},
          650,
          NamurStatus::failure,
          "",
          30s,
          10s};
}
AlarmDefinition spool_definition() {
  return {
      "gateway.spool",
      AnomalyKind::gateway,
      "spool",
      "The spool discards messages",
      "The spool keeps all messages again",
      "Raise spool.max_bytes or spool.max_age, lengthen publish intervals, or mend the broker connection; gap messages "
      "say what was discarded",
      {},
      700,
      NamurStatus::off_spec,
      "",
      0s,
      kRecent};
}
AlarmDefinition refused_definition() {
  return {"gateway.refused",
          AnomalyKind::gateway,
          "refused",
          "The broker refuses messages",
          "The broker refuses nothing any more",
          "Check the broker's policy for this gateway's topics; the refused messages are kept in the spool (twinkeeper "
          "spool export --dead)",
          {},
          700,
          NamurStatus::off_spec,
          "",
          0s,
          kRecent};
}
AlarmDefinition disk_definition() {
  return {
      "gateway.disk",
      AnomalyKind::gateway,
      "disk",
      "The spool can't be written as it should",
      "The spool is written to disk again",
      "Check the disk of the state directory: room, file system, the kernel's log; messages wait in memory meanwhile "
      "(4 MiB), and the twin runs on",
      {},
      750,
      NamurStatus::failure,
      "",
      0s,
      10s};
}
AlarmDefinition certificate_definition() {
  return {"gateway.certificate",
          AnomalyKind::gateway,
          "certificate",
          "The gateway's certificate expires soon",
          "The gateway's certificate is good for long enough",
          "Renew the certificate and put it in place",
          {},
          550,
          NamurStatus::maintenance_required,
          "d",
          0s,
          0s};
}

}  // namespace

GatewayDiagnosis::GatewayDiagnosis(base::Instant start)
    : book_(diagnosis::OwnerKind::gateway, ""),
      connection_(book_.add(connection_definition())),
      spool_(book_.add(spool_definition())),
      refused_(book_.add(refused_definition())),
      disk_(book_.add(disk_definition())),
      certificate_(book_.add(certificate_definition())),
      dropped_at_(start - 2 * kRecent),
      refused_at_(start - 2 * kRecent) {}

std::vector<AnomalyEvent> GatewayDiagnosis::evaluate(base::Instant now, const GatewayCondition& condition) {
  std::vector<AnomalyEvent> events;
  book_.update(connection_, !condition.connected, now, events, [&](AnomalyEvent& event) {
    event.message = "The broker " + condition.endpoint +
                    (event.cleared_at ? " is there again" : " has been away for 30 s; messages wait in the spool");
  });
  // Refused messages are counted among the discarded ones; they have an anomaly of their own.
  // The two are read one after the other, so their difference may be short of the truth for a moment, never beyond it.
  const std::uint64_t discarded =
      condition.spool_dropped_total - std::min(condition.spool_dropped_total, condition.refused_total);
  if (discarded > dropped_before_) {
    dropped_at_ = now;
    dropped_before_ = discarded;
  }
  book_.update(spool_, now - dropped_at_ < kRecent, now, events,
               [&](AnomalyEvent& event) { event.statistic = static_cast<double>(discarded); });
  if (condition.refused_total > refused_before_) refused_at_ = now;
  refused_before_ = condition.refused_total;
  book_.update(refused_, now - refused_at_ < kRecent, now, events, [&](AnomalyEvent& event) {
    event.statistic = static_cast<double>(condition.refused_total);
    if (!event.cleared_at && !condition.refused.empty()) {
      event.message = "The broker refuses messages on " + condition.refused;
    }
  });
  book_.update(disk_, !condition.spool_trouble.empty(), now, events, [&](AnomalyEvent& event) {
    if (!event.cleared_at) event.message += ": " + condition.spool_trouble;
  });
  const bool expiring = condition.certificate_left && *condition.certificate_left < kWarnBefore;
  book_.update(certificate_, expiring, now, events, [&](AnomalyEvent& event) {
    if (condition.certificate_left) {
      event.measured = std::chrono::duration<double, std::ratio<86400>>(*condition.certificate_left).count();
      event.threshold = 30.0;
    }
  });
  return events;
}

}  // namespace twinkeeper::app
