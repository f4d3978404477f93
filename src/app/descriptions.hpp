// What telemetry has to know of devices and twins, taken from the plan.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "app/plan.hpp"
#include "drivers/device_statistics.hpp"
#include "telemetry/description.hpp"
#include "telemetry/metrics_encoder.hpp"

namespace twinkeeper::app {

inline constexpr std::size_t kLongestSuggestion = 400;  // bytes of suggested_configuration in the metrics

[[nodiscard]] telemetry::DeviceDescription describe_device(const config::DeviceConfig& device);
[[nodiscard]] telemetry::TwinDescription describe_twin(const Plan& plan, std::size_t twin);
// Whether the limits of each regime, or of the twin as a whole, were calibrated.
[[nodiscard]] std::vector<telemetry::TwinDescription::RegimeLimits> limits_of_regimes(const config::TwinConfig& twin);
// What the poller knows of a device beyond the figures that every device's metrics have.
[[nodiscard]] telemetry::AdditionalMetrics additional_metrics(const drivers::DeviceStatistics& statistics);
// By TagIndex.
[[nodiscard]] std::vector<telemetry::TagSource> describe_tags(const config::Config& config);

}  // namespace twinkeeper::app
