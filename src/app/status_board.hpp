// The gateway's state as `status` tells it: written by the supervisor, read by the connection thread on every CONNECT.
//
// Thread rule: every function may be called from any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/status_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "uplink/connection.hpp"

namespace twinkeeper::app {

class StatusBoard final : public uplink::StatusSource {
 public:
  StatusBoard(const base::Clock& clock, base::Instant process_start, std::string version, std::string config_hash,
              telemetry::StatusReason reason, std::vector<telemetry::TwinStatus> twins,
              std::vector<telemetry::DeviceStatus> devices);

  // True if something that consumers see has changed.
  bool update(std::vector<telemetry::TwinStatus> twins, std::vector<telemetry::DeviceStatus> devices,
              std::optional<base::WallTime> certificate_expires);
  // Whether everything is up and tracking.
  [[nodiscard]] telemetry::GatewayState state() const;
  // What is told from now on was made by a reload.
  void reloaded(std::string config_hash);
  // The retained `offline` of an orderly end: `stop`, or `reload` when a new configuration takes over.
  void set_stop_reason(telemetry::StatusReason reason);

  [[nodiscard]] std::string status_state() override;
  [[nodiscard]] std::string status_reason() override;
  [[nodiscard]] std::string status_members(std::string_view state, std::string_view reason, std::uint64_t session,
                                           const uplink::PreviousEpoch* previous) override;

 private:
  [[nodiscard]] telemetry::GatewayState state_locked() const;

  const base::Clock& clock_;
  const base::Instant process_start_;
  mutable std::mutex mutex_;
  telemetry::StatusReport report_;
  telemetry::StatusReason start_reason_;
  telemetry::StatusReason stop_reason_ = telemetry::StatusReason::stop;
};

}  // namespace twinkeeper::app
