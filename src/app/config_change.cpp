#include "app/config_change.hpp"

#include <algorithm>

#include "app/aws_desk.hpp"

namespace twinkeeper::app {
namespace {

// A job replaces the file that it finds here, whatever the models have in common.
bool same_model_files(const config::Config& running, const config::Config& next) {
  return std::equal(running.twins.begin(), running.twins.end(), next.twins.begin(), next.twins.end(),
                    [](const auto& a, const auto& b) { return a.model.file == b.model.file; });
}

bool same_overlay(const config::Config& running, const config::Config& next) {
  if (!running.overlay || !next.overlay) return running.overlay.has_value() == next.overlay.has_value();
  return running.overlay->text == next.overlay->text && running.overlay->version == next.overlay->version;
}

bool same_gateway(const config::GatewayConfig& a, const config::GatewayConfig& b) {
  return a.id == b.id && a.state_directory == b.state_directory && a.control_socket == b.control_socket;
}

}  // namespace

ConfigChange change_between(const Plan& running, const Plan& next) {
  const config::Config& a = running.config;
  const config::Config& b = next.config;
  // A poller is made with the way to a write or without.
  if (!same_gateway(a.gateway, b.gateway) || a.commands.allows("write") != b.commands.allows("write")) {
    return ConfigChange::both;
  }
  const bool south = a.plant_hash != b.plant_hash || !same_model_files(a, b);
  const bool north = !(a.uplink == b.uplink) || !(a.spool == b.spool) || !(a.commands == b.commands);
  if (south && north) return ConfigChange::both;
  // Twins with a shadow have topics, which a connection subscribes to when it begins.
  if (south) return aws_topics(a) == aws_topics(b) ? ConfigChange::south : ConfigChange::both;
  if (north || !same_overlay(a, b)) return ConfigChange::north;
  return a.gateway.log_level != b.gateway.log_level ? ConfigChange::level : ConfigChange::none;
}

std::string_view restarted_by(ConfigChange change) {
  switch (change) {
    case ConfigChange::none: return "nothing, as nothing has changed";
    case ConfigChange::level: return "nothing; the log has another level";
    case ConfigChange::north: return "the connection to the broker; devices and twins run on";
    case ConfigChange::south: return "devices and twins; the connection to the broker stays";
    case ConfigChange::both: break;
  }
  return "everything";
}

}  // namespace twinkeeper::app
