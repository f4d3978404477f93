// What the shadow `twin-<name>` holds of a twin: mode, regime, model, states with their standard deviation, what is
// not good, anomalies that stand.
//
// Numbers have `digits` digits; what has no value is absent. Neither step nor time is in it: they would change always,
// and the service notes the time of each value itself.
// Thread rule: free functions. Allocates.
#pragma once

#include <nlohmann/json.hpp>

#include "telemetry/description.hpp"
#include "telemetry/state_encoder.hpp"
#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::app {

[[nodiscard]] nlohmann::json twin_shadow(const telemetry::TwinDescription& twin, const estimation::TwinStep& step,
                                         const telemetry::AnomalySummary& anomalies, int digits);
// The dead-band: a state moved by less than its standard deviation (or, where it has none, by less than 1 %) and is not
// twice as certain or uncertain as before.
[[nodiscard]] bool same_in_shadow(const nlohmann::json& old, const nlohmann::json& now);

}  // namespace twinkeeper::app
