// What P/metrics says of the whole gateway: counters of twins, devices, spool and connection, gathered once a minute.
// Histograms and the share of time a bus was busy are of the time since the report before.
// Thread rule: the main thread. Allocates the report.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/device_loop.hpp"
#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "app/twin_loop.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "uplink/statistics.hpp"

namespace twinkeeper::app {

// Which poller a device has, and as which of its devices.
struct DevicePlace {
  std::size_t loop = 0;
  std::size_t device = 0;
};
using DevicePlaces = std::map<std::size_t, DevicePlace>;  // by the device's place in the configuration

class GatewayMetrics {
 public:
  // What is referred to outlives it.
  GatewayMetrics(const Plan& plan, const Outbox& outbox, uplink::Statistics& uplink, const base::Clock& clock,
                 base::Instant process_start);

  [[nodiscard]] telemetry::MetricsReport report(TwinLoop& twins, const std::vector<std::unique_ptr<DeviceLoop>>& loops,
                                                const DevicePlaces& places, std::string endpoint);

 private:
  const Plan& plan_;
  const Outbox& outbox_;
  uplink::Statistics& uplink_;
  const base::Clock& clock_;
  const base::Instant process_start_;
  base::Instant before_;
  std::map<std::size_t, std::uint64_t> busy_ns_before_;
  // Of epochs before this one.
  const double cpu_before_;
  const std::uint64_t dropped_before_, published_before_, acknowledged_before_, reconnects_before_;
};

}  // namespace twinkeeper::app
