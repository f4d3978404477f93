// From a controller's settings to what polls it: the one place where a driver is chosen.
#pragma once

#include <memory>
#include <vector>

#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

// `devices` share one controller, and so its transmission mode. References outlive the poller.
[[nodiscard]] std::unique_ptr<drivers::Poller> make_poller(std::vector<drivers::DeviceSettings> devices,
                                                           base::Instant grid_origin, const base::Clock& clock,
                                                           drivers::SampleSink& samples, signals::EventSink& events);

}  // namespace twinkeeper::app
