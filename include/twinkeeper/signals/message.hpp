// A Message: one publication, complete but for the envelope that the uplink adds (gateway, epoch, seq, id, wall time,
// replay). `members` is the text of JSON object members without the surrounding braces, so that the envelope can be
// put before it at sending time without parsing anything again.
#pragma once

#include <cstdint>
#include <string>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::signals {

// Order is order of worth: what the spool evicts last comes first.
enum class MessageClass : std::uint8_t { gap, anomaly, info, metrics, state, samples };

struct Message {
  std::string stream;    // topic below the prefix with '.' for '/': "twins.tanks.state"
  std::string schema;    // "twinkeeper.state/1"
  MessageClass message_class = MessageClass::state;
  base::Instant time;    // of the twin instant or event, never of sending
  bool retain = false;
  std::string members;   // "\"twin\":\"tanks\",\"step\":17,…"
};

}  // namespace twinkeeper::signals
