#include "app/gateway_diagnosis.hpp"

#include <algorithm>
#include <array>

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using diagnosis::AlarmDefinition;
using diagnosis::AnomalyEvent;
using diagnosis::AnomalyKind;
using diagnosis::NamurStatus;

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

// What runs out: medium first, high when it becomes urgent.
struct Limits {
  const char* name;  // of the key in `uplink`
  const char* what;
  base::Duration warn;
  base::Duration urgent;
  const char* advice;
};
constexpr std::array<Limits, kExpiries> kLimits{{
    {"certificate", "gateway's certificate", 30 * 24h, 7 * 24h, "Renew the certificate and put it in place"},
    {"root_ca", "certificate of the broker's authority", 30 * 24h, 7 * 24h,
     "Put the authority's new certificate into the file of root_ca, and take the old one out when no broker needs it"},
    {"crl", "list of revoked certificates", 24h, 24h,
     "Put the authority's next list in place; with one that is out of date no broker is let in"},
}};
constexpr int kMedium = 550;
constexpr int kHigh = 700;

AlarmDefinition expiry_definition(const Limits& limits) {
  return {std::string("gateway.") + limits.name,
          AnomalyKind::gateway,
          limits.name,
          std::string("The ") + limits.what + " expires soon",
          std::string("The ") + limits.what + " is good for long enough",
          limits.advice,
          {},
          kMedium,
          NamurStatus::maintenance_required,
          "d",
          0s,
          0s};
}

double days(base::Duration duration) { return std::chrono::duration<double, std::ratio<86400>>(duration).count(); }

std::string time_left(base::Duration left) {
  if (left <= 0s) return " has expired";
  const auto whole = std::chrono::duration_cast<std::chrono::days>(left).count();
  if (whole == 0) return " expires within a day";
  return " expires in " + std::to_string(whole) + (whole == 1 ? " day" : " days");
}

}  // namespace

GatewayDiagnosis::GatewayDiagnosis(base::Instant start)
    : book_(diagnosis::OwnerKind::gateway, ""),
      connection_(book_.add(connection_definition())),
      spool_(book_.add(spool_definition())),
      refused_(book_.add(refused_definition())),
      disk_(book_.add(disk_definition())),
      dropped_at_(start - 2 * kRecent),
      refused_at_(start - 2 * kRecent) {
  for (std::size_t i = 0; i < kExpiries; ++i) expiries_[i] = book_.add(expiry_definition(kLimits[i]));
}

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
  for (std::size_t i = 0; i < kExpiries; ++i) judge_expiry(i, condition, now, events);
  return events;
}

void GatewayDiagnosis::judge_expiry(std::size_t which, const GatewayCondition& condition, base::Instant now,
                                    std::vector<AnomalyEvent>& events) {
  const std::optional<base::Duration>& left = condition.left[which];
  const bool named = which == kRootCa && !condition.first_authority.empty();
  const Limits& limits = kLimits[which];
  const bool urgent = left && *left < limits.urgent;
  if (urgent != urgent_[which]) book_.mark_changed(expiries_[which]);
  urgent_[which] = urgent;
  book_.update(expiries_[which], left && *left < limits.warn, now, events, [&](AnomalyEvent& event) {
    if (!left || event.cleared_at) return;
    event.message =
        std::string("The ") + limits.what + (named ? " (" + condition.first_authority + ")" : "") + time_left(*left);
    event.severity = urgent ? kHigh : kMedium;
    event.measured = days(*left);
    event.threshold = days(urgent ? limits.urgent : limits.warn);
  });
}

}  // namespace twinkeeper::app
