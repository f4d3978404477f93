// What a device's registers said last, at one publishing instant: the content of one `samples` message.
#pragma once

#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::signals {

struct TagSnapshot {
  Sample last;              // newest validated sample; its quality and reason are those of acquisition
  base::Duration age{-1};   // publishing instant minus last.time, negative if there has been no sample at all
};

struct DeviceSnapshot {
  DeviceIndex device = 0;
  base::Instant first;              // oldest and newest sample time among the tags that have one
  base::Instant last;
  std::vector<TagSnapshot> tags;    // the device's published registers, in the order of the configuration
};

}  // namespace twinkeeper::signals
