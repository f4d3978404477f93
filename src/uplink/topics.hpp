// Where a stream is published: below the prefix, or at a rule of AWS IoT Core that takes it past the message broker
// (Basic Ingest): `$aws/rules/NAME/P/…`. What goes to a rule is never retained and has no subscribers.
// Thread rule: pure functions. Allocates the result.
// Source: AWS IoT Core developer guide, iot-basic-ingest.
#pragma once

#include <string>
#include <string_view>

#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

// By the last word of the stream: `state` of twins.tanks.state.
[[nodiscard]] bool goes_to_rule(const UplinkSettings& settings, std::string_view stream);
[[nodiscard]] std::string topic_for(const UplinkSettings& settings, std::string_view stream);

}  // namespace twinkeeper::uplink
