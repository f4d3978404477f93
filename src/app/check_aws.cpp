#include <algorithm>
#include <cmath>

#include "app/aws_desk.hpp"
#include "app/check_report.hpp"
#include "app/descriptions.hpp"
#include "app/twin_shadow.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

constexpr double kOperationBytes = 1024.0;  // what one operation of the shadow service is charged for
constexpr double kLongNumber = -1.2345678901234567e-12;
constexpr std::size_t kLongAnomaly = 60;  // an id, with its quotes
constexpr std::size_t kSomeAnomalies = 5;
const std::size_t kMostShadowBytes = aws::ShadowSettings{}.most_bytes;

double per_month(base::Duration interval) { return 30.0 * 86400.0 / std::chrono::duration<double>(interval).count(); }

ordered_json shadow_of(const Plan& plan, std::size_t twin, Findings& findings) {
  const auto& model = plan.models[twin];
  estimation::TwinStep step(static_cast<std::size_t>(model.n_x()), static_cast<std::size_t>(model.n_u()),
                            static_cast<std::size_t>(model.n_y()));
  step.mode = estimation::Mode::initializing;
  std::fill(step.x.begin(), step.x.end(), kLongNumber);
  std::fill(step.std.begin(), step.std.end(), kLongNumber);
  const auto& uplink = *plan.config.uplink;
  const auto document = twin_shadow(describe_twin(plan, twin), step, {}, uplink.digits);
  const std::size_t bytes = document.dump().size() + kSomeAnomalies * kLongAnomaly;
  if (bytes > kMostShadowBytes) {
    findings.warn(path_of("twins", twin, "model"), "the shadow of " + plan.config.twins[twin].name + " has up to " +
                                                       std::to_string(bytes) + " bytes and is cut to " +
                                                       std::to_string(kMostShadowBytes));
  }
  const double updates = per_month(uplink.shadow_interval);
  return {{"shadow", "twin-" + plan.config.twins[twin].name},
          {"bytes", bytes},
          {"updates_per_month_at_most", std::llround(updates)},
          {"operations_per_month_at_most",
           std::llround(updates * std::ceil(static_cast<double>(bytes) / kOperationBytes))}};
}

}  // namespace

ordered_json check_aws(const Plan& plan, Findings& findings) {
  if (!AwsDesk::is_wanted(plan.config)) return nullptr;
  const auto& uplink = *plan.config.uplink;
  const std::vector<std::size_t> with_shadow = twins_with_shadow(plan.config);
  ordered_json report{{"topics_subscribed", aws_topics(plan.config)},
                      {"topics_published", aws_topics_published(plan.config)},
                      {"shadows", ordered_json::array()}};
  for (const std::size_t i : with_shadow) report["shadows"].push_back(shadow_of(plan, i, findings));
  if (uplink.shadows != uplink::Shadows::off && with_shadow.size() < plan.config.twins.size()) {
    findings.warn("uplink.shadows",
                  "only " + std::to_string(with_shadow.size()) + " of " + std::to_string(plan.config.twins.size()) +
                      " twins have a shadow: a connection has " + std::to_string(kMostTopics) +
                      " subscriptions, of which each takes " + std::to_string(kTopicsOfShadow) +
                      ", and its name twin-<name> has at most " + std::to_string(kLongestShadowName) + " characters");
  }
  report["configuration_by_shadow"] = uplink.shadows == uplink::Shadows::all;
  report["jobs"] = uplink.jobs.value_or(false);
  report["defender_reports_per_month"] = nullptr;
  if (uplink.defender_interval) {
    report["defender_reports_per_month"] = std::llround(per_month(*uplink.defender_interval));
  }
  return report;
}

}  // namespace twinkeeper::app
