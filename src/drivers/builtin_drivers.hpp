// From a controller's settings to what polls it: the one place where a driver is chosen.
#pragma once

#include <memory>
#include <vector>

#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "drivers/transport.hpp"
#include "drivers/write_queue.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::drivers {

[[nodiscard]] std::unique_ptr<Transport> make_transport(const DeviceSettings& device, const base::Clock& clock);

// `devices` share one controller, to which `transport` leads, and so its transmission mode. References outlive the
// poller; so does `writes`, without which nothing is ever written.
[[nodiscard]] std::unique_ptr<Poller> make_poller(std::vector<DeviceSettings> devices, base::Instant grid_origin,
                                                  const base::Clock& clock, SampleSink& samples,
                                                  signals::EventSink& events, std::unique_ptr<Transport> transport,
                                                  WriteQueue* writes = nullptr);

}  // namespace twinkeeper::drivers
