// Reason codes of MQTT 5 (section 2.4) as text, and which of them are given again however often one asks.
#pragma once

#include <string>

namespace twinkeeper::uplink {

inline constexpr int kRetainNotSupported = 0x9A;

// Of a PUBACK (section 3.4.2.1).
[[nodiscard]] bool permanent(int reason);
[[nodiscard]] std::string reason_text(int reason);

}  // namespace twinkeeper::uplink
