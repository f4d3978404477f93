// The gateway's `status` (twinkeeper.status/1): online, degraded or, as the last will, offline.
//
// The will is the same document with `offline` and `connection_lost`; only the newest status counts, so it is never
// spooled. `twins` and `devices` are objects by name. An absent certificate or error is null.
// Errors: none. Thread rule: one thread. Allocation: freely; a status is rare.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

enum class GatewayState : std::uint8_t { online, degraded, offline };
enum class StatusReason : std::uint8_t { start, reload, stop, connection_lost };
enum class DeviceState : std::uint8_t { up, degraded, down };

[[nodiscard]] std::string_view to_string(GatewayState state) noexcept;
[[nodiscard]] std::string_view to_string(StatusReason reason) noexcept;
[[nodiscard]] std::string_view to_string(DeviceState state) noexcept;

struct TwinStatus {
  std::string name;
  estimation::Mode mode = estimation::Mode::initializing;
};

struct DeviceStatus {
  std::string name;
  DeviceState state = DeviceState::down;
  std::string last_error;  // empty: none so far
};

struct PreviousEpoch {
  std::uint64_t epoch = 0;
  std::map<std::string, std::uint64_t> last;  // last sequence number by stream
};

struct StatusReport {
  GatewayState state = GatewayState::online;
  StatusReason reason = StatusReason::start;
  std::uint64_t session = 0;              // grows with every CONNECT
  std::optional<PreviousEpoch> previous;  // in the first status of an epoch
  std::string version;
  std::string config_hash;
  base::Duration uptime{};
  std::vector<TwinStatus> twins;
  std::vector<DeviceStatus> devices;
  std::optional<base::WallTime> certificate_expires;
};

// `time`: of the change of state (for a repetition: of the repetition).
void encode_status(const StatusReport& report, base::Instant time, signals::Message& out);

}  // namespace twinkeeper::telemetry
