// Asks an HTTP proxy for a tunnel (CONNECT, RFC 9110 section 9.3.6), as the MQTT library does; for explaining failures.
// Thread rule: free of state; blocks until `deadline` at most.
#pragma once

#include <optional>
#include <string>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

// `descriptor`: a non-blocking socket that is connected to the proxy. What the proxy said instead of opening the tunnel
// to `server` (HOST:PORT), or nothing if it is open.
[[nodiscard]] std::optional<std::string> open_tunnel(int descriptor, const std::string& server, base::Instant deadline);

}  // namespace twinkeeper::uplink
