// Devices behind one controller share one connection and are polled by one thread.
#pragma once

#include <cstddef>
#include <vector>

#include "config/config.hpp"

namespace twinkeeper::app {

// Device numbers by controller, controllers in the order of their first device.
[[nodiscard]] std::vector<std::vector<std::size_t>> group_by_controller(const config::Config& config);

}  // namespace twinkeeper::app
