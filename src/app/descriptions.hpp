// What telemetry has to know of devices and twins, taken from the plan.
#pragma once

#include <string>
#include <vector>

#include "app/plan.hpp"
#include "telemetry/description.hpp"

namespace twinkeeper::app {

[[nodiscard]] telemetry::DeviceDescription describe_device(const config::DeviceConfig& device);
[[nodiscard]] telemetry::TwinDescription describe_twin(const Plan& plan, std::size_t twin);
// By TagIndex.
[[nodiscard]] std::vector<telemetry::TagSource> describe_tags(const config::Config& config);

}  // namespace twinkeeper::app
