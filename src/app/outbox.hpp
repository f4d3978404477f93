// What crosses from the twin thread to the spool thread: records that were built beforehand, so that nothing on the
// twin thread allocates, locks or waits. A full queue drops the newest record and counts it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "app/plan.hpp"
#include "telemetry/state_encoder.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/device_snapshot.hpp"

namespace twinkeeper::app {

struct TwinRecord {
  estimation::TwinStep step;
  telemetry::AnomalySummary anomalies;
};

struct Outbox {
  explicit Outbox(const Plan& plan);

  std::vector<std::unique_ptr<base::RecyclingQueue<TwinRecord>>> steps;  // per twin
  std::vector<std::unique_ptr<base::RecyclingQueue<signals::DeviceSnapshot>>>
      snapshots;  // per device, null: not published
  base::BoundedQueue<diagnosis::AnomalyEvent> anomalies;
};

}  // namespace twinkeeper::app
