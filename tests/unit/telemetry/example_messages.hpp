// One example of everything telemetry encodes: the two-tank plant at a fixed time. Golden texts, the schema check and
// the documentation use the same ones.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "telemetry/anomaly_encoder.hpp"
#include "telemetry/description.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "telemetry/state_encoder.hpp"
#include "telemetry/status_encoder.hpp"
#include "twinkeeper/signals/device_snapshot.hpp"

namespace twinkeeper::telemetry::example {

base::WallTime to_wall(base::Instant instant);  // instant 0 is 2026-03-01T08:00:00Z

DeviceDescription device();
TwinDescription twin();
estimation::TwinStep step();
AnomalySummary anomalies();
signals::DeviceSnapshot snapshot();
diagnosis::AnomalyEvent anomaly();
AnomalyContext anomaly_context();
StatusReport status();
MetricsReport metrics();

// The message as the uplink sends it, as text: with the members that it adds.
std::string with_envelope(const signals::Message& message, std::uint64_t sequence = 1);

// Kind and text of one message of each kind.
std::vector<std::pair<std::string, std::string>> messages();

}  // namespace twinkeeper::telemetry::example
