// What a new configuration changes of what runs, and so what has to be restarted for it.
#pragma once

#include <cstdint>
#include <string_view>

#include "app/plan.hpp"

namespace twinkeeper::app {

enum class ConfigChange : std::uint8_t {
  none,
  level,  // of the log: nothing is restarted
  north,  // towards the broker: uplink, commands, limits of the spool, an overlay of another version
  south,  // towards the machine: buses, devices, twins, models, what is published of them how often
  both,   // of each, or what both are made with: the gateway's section, whether devices can be written to
};

// Pure. Both have an uplink.
[[nodiscard]] ConfigChange change_between(const Plan& running, const Plan& next);

// For a person: "devices and twins; the connection to the broker stays".
[[nodiscard]] std::string_view restarted_by(ConfigChange change);

}  // namespace twinkeeper::app
