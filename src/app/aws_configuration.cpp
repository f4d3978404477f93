#include "app/aws_configuration.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::app {
namespace {

using nlohmann::json;

const std::string kBy = "shadow config";
constexpr std::size_t kMostFaults = 10;
constexpr std::size_t kMostFaultBytesInShadow = 300;
// Desired and, once it is in force, reported have room in one document.
constexpr std::size_t kMostOverlayBytes = 3500;

// Cut between characters.
std::string cut(const std::string& text) {
  if (text.size() <= kMostFaultBytesInShadow) return text;
  std::size_t end = kMostFaultBytesInShadow;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

std::string file_text(const json& overlay, std::uint64_t version) {
  if (overlay.empty()) return {};
  return json{{"version", version}, {"overlay", overlay}}.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

AwsConfiguration::AwsConfiguration(const Plan& plan, ReloadRequests& requests, signals::EventSink& events,
                                   aws::ShadowSettings settings)
    : requests_(requests),
      events_(events),
      overlay_file_(config::overlay_file(plan.config.gateway.state_directory)),
      config_hash_(plan.config.hash),
      shadow_(std::move(settings)) {
  if (plan.config.overlay) {
    in_force_ = json::parse(plan.config.overlay->text, nullptr, false);
    version_ = plan.config.overlay->version;
    if (!in_force_.is_object()) in_force_ = json::object();
  }
  report();
}

void AwsConfiguration::run() {
  if (auto desired = shadow_.take_desired()) desired_ = std::move(desired);
  if (const auto outcome = requests_.take_outcome(kBy)) {
    asked_ = false;
    const json file = json::parse(outcome->request.files.at(overlay_file_), nullptr, false);
    if (!outcome->done) {
      Refusal refusal{json::object(), desired_ ? desired_->version : 0, outcome->faults};
      if (refusal.faults.empty()) refusal.faults.push_back(outcome->why);
      if (file.is_object()) {
        refusal.overlay = file.value("overlay", json::object());
        refusal.version = file.value("version", refusal.version);
      }
      refuse(std::move(refusal));
    } else {
      report();
    }
  }
  if (!desired_ || asked_) return;
  if (desired_->state == in_force_) {
    if (refusal_) {
      refusal_.reset();
      report();
    }
    return;
  }
  if (refusal_ && refusal_->overlay == desired_->state) return;
  if (const std::size_t bytes = desired_->state.dump().size(); bytes > kMostOverlayBytes) {
    return refuse(
        {desired_->state,
         desired_->version,
         {"it has " + std::to_string(bytes) + " bytes; accepted: at most " + std::to_string(kMostOverlayBytes)}});
  }
  asked_ = true;
  requests_.ask({kBy, {{overlay_file_, file_text(desired_->state, desired_->version)}}});
}

void AwsConfiguration::refuse(Refusal refusal) {
  events_.raise({signals::EventLevel::warning, "aws", "configuration_refused",
                 "the configuration that the shadow config desires was refused: " + refusal.faults.front()});
  refusal_ = std::move(refusal);
  report();
}

void AwsConfiguration::report() {
  json out = in_force_;
  out["config_hash"] = config_hash_;
  out["config_result"] = refusal_ ? "refused" : "applied";
  out["config_version"] = refusal_ ? refusal_->version : version_;
  if (refusal_) {
    json& errors = out["config_error"] = json::array();
    for (std::size_t i = 0; i < std::min(kMostFaults, refusal_->faults.size()); ++i) {
      errors.push_back(cut(refusal_->faults[i]));
    }
  }
  shadow_.report(out);
}

}  // namespace twinkeeper::app
