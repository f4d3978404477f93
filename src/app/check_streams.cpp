#include <algorithm>
#include <cmath>

#include "app/check_messages.hpp"
#include "app/check_report.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "uplink/envelope.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/topics.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kRefusedAbove = 128 * 1024;  // AWS IoT Core's limit
constexpr std::size_t kWarnedAbove = 5120;         // one billing unit
constexpr double kSecondsPerMonth = 30.0 * 86400.0;

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }
double hours(base::Duration duration) { return seconds(duration) / 3600.0; }

double rate_of(const PlannedStream& stream) { return stream.interval ? 1.0 / seconds(*stream.interval) : 0.0; }
double bytes_rate_of(const PlannedStream& stream) {
  return rate_of(stream) * static_cast<double>(stream.message_bytes);
}
double units_of(const PlannedStream& stream) {
  return std::ceil(static_cast<double>(stream.message_bytes) / static_cast<double>(kWarnedAbove));
}

void judge_size(const PlannedStream& stream, Findings& findings) {
  const auto size_of = [&](std::size_t bytes) {
    return "a message of " + stream.stream + " has up to " + std::to_string(bytes) + " bytes";
  };
  const std::size_t largest = std::max(stream.message_bytes, stream.lost_bytes);
  if (largest > kRefusedAbove) {
    const char* when = largest > stream.message_bytes ? " while the device is lost" : "";
    findings.error(stream.path, size_of(largest) + when + ", which the broker refuses",
                   "at most " + std::to_string(kRefusedAbove) + " bytes: " + stream.smaller);
  } else if (stream.message_bytes > kWarnedAbove && !stream.is_packet) {
    findings.warn(stream.path, size_of(stream.message_bytes) + ", more than " + std::to_string(kWarnedAbove) +
                                   ": where messages are billed it counts as " + short_number(units_of(stream)));
  }
}

ordered_json report_stream(const uplink::UplinkSettings& uplink, const PlannedStream& stream, Findings& findings) {
  const bool to_rule = uplink::goes_to_rule(uplink, stream.stream);
  const std::string topic = uplink::topic_for(uplink, stream.stream);
  // $aws/rules/NAME/ does not count against the broker's limits.
  const std::string counted = to_rule ? uplink::topic_of_stream(uplink.topic_prefix, stream.stream) : topic;
  const auto slashes = std::count(counted.begin(), counted.end(), '/');
  judge_size(stream, findings);
  ordered_json report{{"stream", stream.stream},
                      {"topic", topic},
                      {"topic_bytes", counted.size()},
                      {"topic_slashes", slashes},
                      {"message_bytes", stream.message_bytes},
                      {"message_bytes_while_lost", nullptr},
                      {"when", stream.when},
                      {"messages_per_second", nullptr},
                      {"bytes_per_second", nullptr},
                      {"messages_per_month", nullptr},
                      {"billing_units_per_month", nullptr}};
  if (stream.lost_bytes > 0) report["message_bytes_while_lost"] = stream.lost_bytes;
  if (stream.interval) {
    report["messages_per_second"] = rate_of(stream);
    report["bytes_per_second"] = bytes_rate_of(stream);
    report["messages_per_month"] = std::llround(rate_of(stream) * kSecondsPerMonth);
    // What goes straight to a rule is charged by its actions, not as messages.
    report["billing_units_per_month"] =
        to_rule ? 0 : std::llround(units_of(stream) * rate_of(stream) * kSecondsPerMonth);
  }
  return report;
}

// An answer's topic ends with the id of its command, which only the sender knows.
ordered_json check_commands(const config::Config& config) {
  if (!config.commands.enabled || config.commands.allow.empty()) return nullptr;
  const std::string& prefix = config.uplink->topic_prefix;
  ordered_json subscribed = ordered_json::array();
  for (const std::string& verb : config.commands.allow) {
    subscribed.push_back(uplink::topic_of_stream(prefix, "command." + verb));
  }
  return {{"topics_subscribed", std::move(subscribed)},
          {"topics_published", ordered_json::array({uplink::topic_of_stream(prefix, "response.*")})}};
}

struct Traffic {
  double messages_per_second = 0.0;
  double bytes_per_second = 0.0;
};

ordered_json check_traffic(const uplink::UplinkSettings& uplink, const Traffic& traffic, Findings& findings) {
  const auto judge = [&](const char* path, double made, double limit, const char* unit) {
    if (made <= limit) return;
    findings.error(path, "the streams make " + short_number(made) + " " + unit + "/s, more than " + short_number(limit),
                   "longer publish intervals, or a limit of at least " + short_number(std::ceil(made)));
  };
  ordered_json report{{"messages_per_second", traffic.messages_per_second},
                      {"bytes_per_second", traffic.bytes_per_second},
                      {"max_messages_per_second", nullptr},
                      {"max_bytes_per_second", nullptr}};
  if (const auto& limit = uplink.max_messages_per_second) {
    report["max_messages_per_second"] = *limit;
    judge("uplink.max_messages_per_second", traffic.messages_per_second, *limit, "messages");
  }
  if (const auto& limit = uplink.max_bytes_per_second) {
    report["max_bytes_per_second"] = *limit;
    judge("uplink.max_bytes_per_second", traffic.bytes_per_second, static_cast<double>(*limit), "bytes");
  }
  return report;
}

// Publications that a backlog of `outage` seconds takes.
double publications_of(const PlannedStream& stream, double outage, bool packs) {
  const double messages = rate_of(stream) * outage;
  if (!stream.packed || !packs) return messages;
  const double in_one = std::clamp(std::floor(static_cast<double>(uplink::kPacketBytes) /
                                              static_cast<double>(std::max<std::size_t>(1, stream.message_bytes))),
                                   1.0, static_cast<double>(uplink::kPacketMessages));
  return messages / in_one;
}

// What the limits leave beside live data is the backlog's; without a limit the broker's answers set the pace.
void add_drain(const uplink::UplinkSettings& uplink, const Traffic& live, double bytes, double publications,
               ordered_json& report) {
  report["drain_hours"] = nullptr;
  report["drain_publications"] = std::llround(std::ceil(publications));
  std::optional<double> drain;
  bool possible = true;
  const auto pace = [&](double amount, double limit, double used) {
    possible = possible && limit > used;
    drain = std::max(drain.value_or(0.0), amount / (limit - used) / 3600.0);
  };
  if (uplink.max_bytes_per_second)
    pace(bytes, static_cast<double>(*uplink.max_bytes_per_second), live.bytes_per_second);
  if (uplink.max_messages_per_second) pace(publications, *uplink.max_messages_per_second, live.messages_per_second);
  if (!drain) {
    report["drain_reason"] =
        "no rate limit is set: how fast the broker acknowledges decides, and that is not known here";
  } else if (!possible) {
    report["drain_reason"] = "live data leave nothing of the rate limits";
  } else {
    report["drain_hours"] = *drain;
  }
}

ordered_json check_spool(const Plan& plan, const std::vector<PlannedStream>& streams, const Traffic& traffic,
                         Findings& findings) {
  const auto& spool = plan.config.spool;
  const double by_age = hours(spool.max_age);
  ordered_json report{{"directory", spool.directory}, {"max_bytes", spool.max_bytes}, {"max_age_hours", by_age}};
  double spooled_per_second = 0.0;
  for (const auto& stream : streams) spooled_per_second += stream.spooled ? bytes_rate_of(stream) : 0.0;
  const double by_size = static_cast<double>(spool.max_bytes) / spooled_per_second / 3600.0;
  const double outage = std::min(by_size, by_age);
  report["outage_hours"] = outage;
  if (by_size < by_age) {
    findings.warn("spool.max_bytes", base::format_size(spool.max_bytes) + " are full after " + short_number(by_size) +
                                         " h of outage, before max_age of " + short_number(by_age) +
                                         " h; lengthen publish intervals or give it more");
  }
  const bool packs = plan.config.uplink->backlog == uplink::BacklogFormat::packed;
  double publications = 0.0;
  for (const auto& stream : streams) {
    if (stream.spooled) publications += publications_of(stream, outage * 3600.0, packs);
  }
  add_drain(*plan.config.uplink, traffic, spooled_per_second * outage * 3600.0, publications, report);
  return report;
}

// The twin steps on its own grid and can publish only what it has.
void judge_state_interval(const Plan& plan, std::size_t index, Findings& findings) {
  const auto& twin = plan.config.twins[index];
  const std::string path = path_of("twins", index, "publish.state_interval");
  const base::Duration wanted = twin.publish.state_interval;
  const base::Duration actual = actual_state_interval(twin);
  // A period such as 1/3 s is rounded to whole nanoseconds; and a default is nobody's mistake.
  const bool differs = std::abs(seconds(actual) - seconds(wanted)) > 1e-6 * seconds(wanted);
  if (!differs || plan.config.sources.count(path) == 0) return;
  const std::string period = base::format_duration(twin.period);
  findings.warn(path, base::format_duration(wanted) +
                          (wanted < twin.period ? " is less than the period of " + period
                                                : " is no multiple of the period of " + period) +
                          ": a state is published every " + base::format_duration(actual));
}

}  // namespace

ordered_json check_uplink(const Plan& plan, Findings& findings) {
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) judge_state_interval(plan, i, findings);
  ordered_json report{
      {"streams", ordered_json::array()}, {"commands", nullptr}, {"traffic", nullptr}, {"spool", nullptr}};
  if (!plan.config.uplink) {
    findings.warn("uplink", "missing: `simulate` can do without, `run` refuses");
    return report;
  }
  if (plan.config.uplink->mqtt_version == uplink::MqttVersion::v3_1_1) {
    findings.warn("uplink.mqtt_version",
                  "3.1.1 has no word for a refusal: what the broker acknowledges and does not take is lost unseen; "
                  "prefer 5 wherever the broker speaks it");
  }
  const auto streams = planned_streams(plan);
  Traffic traffic;
  for (const auto& stream : streams) {
    report["streams"].push_back(report_stream(*plan.config.uplink, stream, findings));
    traffic.messages_per_second += rate_of(stream);
    traffic.bytes_per_second += bytes_rate_of(stream);
  }
  report["commands"] = check_commands(plan.config);
  report["traffic"] = check_traffic(*plan.config.uplink, traffic, findings);
  report["spool"] = check_spool(plan, streams, traffic, findings);
  return report;
}

}  // namespace twinkeeper::app
