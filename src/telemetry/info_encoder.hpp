// What a device and a twin are made of, as retained `info` messages: twinkeeper.device_info/1 and
// twinkeeper.twin_info/1. They carry what does not change from message to message: units, limits, sources, periods.
//
// Limits that are open and signals without a source are null.
// Errors: none. Thread rule: one thread. Allocation: freely; sent on connect and on change.
#pragma once

#include "telemetry/description.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

void encode_device_info(const DeviceDescription& device, base::Instant time, signals::Message& out);
void encode_twin_info(const TwinDescription& twin, base::Instant time, signals::Message& out);

}  // namespace twinkeeper::telemetry
