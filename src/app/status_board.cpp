#include "app/status_board.hpp"

#include <algorithm>

namespace twinkeeper::app {
namespace {

using telemetry::DeviceState;
using telemetry::GatewayState;
using telemetry::StatusReason;

// The word the uplink hands back for a document of its own making.
StatusReason reason_of(std::string_view word, StatusReason start, StatusReason stop) {
  if (word == telemetry::to_string(StatusReason::connection_lost)) return StatusReason::connection_lost;
  if (word == telemetry::to_string(StatusReason::stop)) return stop;
  return start;
}

template <class Part, class Differs>
bool any_difference(const std::vector<Part>& left, const std::vector<Part>& right, Differs differs) {
  return !std::equal(left.begin(), left.end(), right.begin(), right.end(),
                     [&](const Part& a, const Part& b) { return !differs(a, b); });
}

}  // namespace

StatusBoard::StatusBoard(const base::Clock& clock, base::Instant process_start, std::string version,
                         std::string config_hash, StatusReason reason, std::vector<telemetry::TwinStatus> twins,
                         std::vector<telemetry::DeviceStatus> devices)
    : clock_(clock), process_start_(process_start), start_reason_(reason) {
  report_.version = std::move(version);
  report_.config_hash = std::move(config_hash);
  report_.twins = std::move(twins);
  report_.devices = std::move(devices);
}

bool StatusBoard::update(std::vector<telemetry::TwinStatus> twins, std::vector<telemetry::DeviceStatus> devices,
                         std::optional<base::WallTime> certificate_expires) {
  const std::lock_guard lock(mutex_);
  const bool changed =
      any_difference(report_.twins, twins, [](const auto& a, const auto& b) { return a.mode != b.mode; }) ||
      any_difference(report_.devices, devices,
                     [](const auto& a, const auto& b) { return a.state != b.state || a.last_error != b.last_error; }) ||
      report_.certificate_expires != certificate_expires;
  report_.twins = std::move(twins);
  report_.devices = std::move(devices);
  report_.certificate_expires = certificate_expires;
  return changed;
}

GatewayState StatusBoard::state_locked() const {
  const bool devices_up = std::all_of(report_.devices.begin(), report_.devices.end(),
                                      [](const auto& device) { return device.state == DeviceState::up; });
  // A twin that is still finding its state is not a fault.
  const bool twins_well = std::none_of(report_.twins.begin(), report_.twins.end(), [](const auto& twin) {
    return twin.mode == estimation::Mode::degraded || twin.mode == estimation::Mode::predict_only ||
           twin.mode == estimation::Mode::lost;
  });
  return devices_up && twins_well ? GatewayState::online : GatewayState::degraded;
}

GatewayState StatusBoard::state() const {
  const std::lock_guard lock(mutex_);
  return state_locked();
}

void StatusBoard::reloaded(std::string config_hash) {
  const std::lock_guard lock(mutex_);
  report_.config_hash = std::move(config_hash);
  start_reason_ = StatusReason::reload;
}

void StatusBoard::set_stop_reason(StatusReason reason) {
  const std::lock_guard lock(mutex_);
  stop_reason_ = reason;
}

std::string StatusBoard::status_state() { return std::string(telemetry::to_string(state())); }

std::string StatusBoard::status_reason() {
  const std::lock_guard lock(mutex_);
  return std::string(telemetry::to_string(start_reason_));
}

std::string StatusBoard::status_members(std::string_view state, std::string_view reason, std::uint64_t session,
                                        const uplink::PreviousEpoch* previous) {
  const std::lock_guard lock(mutex_);
  telemetry::StatusReport report = report_;
  report.state = state == telemetry::to_string(GatewayState::offline) ? GatewayState::offline : state_locked();
  report.reason = reason_of(reason, start_reason_, stop_reason_);
  report.session = session;
  if (previous) report.previous = telemetry::PreviousEpoch{previous->epoch, previous->last};
  const base::Instant now = clock_.now();
  report.uptime = now - process_start_;
  signals::Message message;
  telemetry::encode_status(report, now, message);
  return std::move(message.members);
}

}  // namespace twinkeeper::app
