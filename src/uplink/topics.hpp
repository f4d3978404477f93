// Where a stream is published: below the prefix, or at a rule of AWS IoT Core that takes it past the message broker
// (Basic Ingest): `$aws/rules/NAME/P/…`. What goes to a rule is never retained and has no subscribers.
// Thread rule: pure functions. Allocates the result.
// Source: AWS IoT Core developer guide, iot-basic-ingest.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "uplink/settings.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

// By the last word of the stream: `state` of twins.tanks.state.
[[nodiscard]] bool goes_to_rule(const UplinkSettings& settings, std::string_view stream);
[[nodiscard]] std::string topic_for(const UplinkSettings& settings, std::string_view stream);

// The newest of what was set aside, for a person: topics, reasons and how many messages are kept.
[[nodiscard]] std::string dead_topics(const std::vector<DeadMessages>& dead, const UplinkSettings& settings);

}  // namespace twinkeeper::uplink
