// The gateway's own figures as a `metrics` message (twinkeeper.metrics/1): flat names with the unit in them.
//
// `_total` counts from the start of the epoch; quantiles are those of the last reporting interval. What a report has
// beyond the named fields goes into `additional`, in its order, on the same level.
// Errors: none. Thread rule: one thread. Allocation: freely; once a minute.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

using MetricValue = std::variant<std::uint64_t, double, std::string>;
using AdditionalMetrics = std::vector<std::pair<std::string, MetricValue>>;  // name with unit, value

struct DurationQuantiles {  // seconds; NaN: nothing was measured
  double p50 = std::numeric_limits<double>::quiet_NaN();
  double p99 = std::numeric_limits<double>::quiet_NaN();
  double max = std::numeric_limits<double>::quiet_NaN();
};

struct DeviceMetrics {
  std::string name;
  std::uint64_t requests_total = 0;
  std::uint64_t request_errors_total = 0;
  std::uint64_t samples_total = 0;
  std::uint64_t samples_bad_total = 0;
  std::uint64_t samples_late_total = 0;
  std::uint64_t reconnects_total = 0;
  AdditionalMetrics additional;
};

struct TwinMetrics {
  std::string name;
  std::uint64_t steps_total = 0;
  std::uint64_t steps_missed_total = 0;
  DurationQuantiles step_seconds;
  AdditionalMetrics additional;
};

struct BusMetrics {          // one per connection that devices share
  std::string name;          // the bus, or the controller where it has no name
  double utilisation = 0.0;  // share of the interval in which a request was under way, 0 … 1
};

struct MetricsReport {
  DurationQuantiles twin_step_seconds;
  std::uint64_t steps_total = 0;
  std::uint64_t steps_missed_total = 0;
  std::uint64_t samples_total = 0;
  std::uint64_t samples_bad_total = 0;
  std::uint64_t samples_late_total = 0;
  std::uint64_t samples_dropped_total = 0;    // queues that were full: samples on their way to the twins,
  std::uint64_t steps_dropped_total = 0;      // steps
  std::uint64_t snapshots_dropped_total = 0;  // and snapshots on their way to the encoder
  std::uint64_t spool_messages = 0;
  std::uint64_t spool_bytes = 0;
  std::uint64_t spool_dropped_total = 0;
  DurationQuantiles spool_commit_seconds;
  std::uint64_t publish_sent_total = 0;
  std::uint64_t publish_acknowledged_total = 0;
  std::uint64_t reconnects_total = 0;  // to the broker
  std::string endpoint;                // HOST:PORT in use or being tried
  std::uint64_t rss_bytes = 0;
  double cpu_seconds_total = 0.0;
  base::Duration uptime{};
  AdditionalMetrics additional;
  std::vector<BusMetrics> buses;
  std::vector<DeviceMetrics> devices;
  std::vector<TwinMetrics> twins;
};

// Of a gateway with more than 50 devices, twins or buses several reports, so that no message outgrows what a broker takes:
// each has all figures of the gateway and its share of the lists.
[[nodiscard]] std::vector<MetricsReport> shares_of(const MetricsReport& report);

void encode_metrics(const MetricsReport& report, base::Instant time, signals::Message& out);

}  // namespace twinkeeper::telemetry
