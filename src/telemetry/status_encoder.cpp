#include "telemetry/status_encoder.hpp"

#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {

std::string_view to_string(GatewayState state) noexcept {
  switch (state) {
    case GatewayState::online: return "online";
    case GatewayState::degraded: return "degraded";
    case GatewayState::offline: return "offline";
  }
  return "offline";
}

std::string_view to_string(StatusReason reason) noexcept {
  switch (reason) {
    case StatusReason::start: return "start";
    case StatusReason::reload: return "reload";
    case StatusReason::stop: return "stop";
    case StatusReason::connection_lost: return "connection_lost";
  }
  return "connection_lost";
}

std::string_view to_string(DeviceState state) noexcept {
  switch (state) {
    case DeviceState::up: return "up";
    case DeviceState::degraded: return "degraded";
    case DeviceState::down: return "down";
  }
  return "down";
}

void encode_status(const StatusReport& report, base::Instant time, signals::Message& out) {
  out.stream = "status";
  out.schema = "twinkeeper.status/1";
  out.message_class = signals::MessageClass::info;
  out.time = time;
  out.retain = true;
  out.members.clear();
  JsonWriter writer(out.members);
  writer.text("state", to_string(report.state));
  writer.text("reason", to_string(report.reason));
  writer.natural("session", report.session);
  if (report.previous) {
    writer.open_object("previous");
    writer.natural("epoch", report.previous->epoch);
    writer.open_object("last");
    for (const auto& [stream, sequence] : report.previous->last) writer.natural(stream, sequence);
    writer.close_object();
    writer.close_object();
  }
  writer.text("version", report.version);
  writer.text("config_hash", report.config_hash);
  writer.milliseconds("uptime_ms", report.uptime);
  writer.open_object("twins");
  for (const TwinStatus& twin : report.twins) {
    writer.open_object(twin.name);
    writer.text("mode", estimation::to_string(twin.mode));
    writer.close_object();
  }
  writer.close_object();
  writer.open_object("devices");
  for (const DeviceStatus& device : report.devices) {
    writer.open_object(device.name);
    writer.text("state", to_string(device.state));
    writer.text_or_null("last_error", device.last_error);
    writer.close_object();
  }
  writer.close_object();
  if (report.certificate_expires) {
    writer.timestamp("certificate_expires", *report.certificate_expires);
  } else {
    writer.null("certificate_expires");
  }
}

}  // namespace twinkeeper::telemetry
