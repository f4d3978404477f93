#include <algorithm>
#include <cmath>

#include "app/check_report.hpp"
#include "app/descriptions.hpp"
#include "telemetry/anomaly_encoder.hpp"
#include "telemetry/samples_encoder.hpp"
#include "telemetry/state_encoder.hpp"
#include "uplink/envelope.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kRefusedAbove = 128 * 1024;  // AWS IoT Core's limit of a payload
constexpr std::size_t kWarnedAbove = 5120;         // one billing unit
constexpr double kSecondsPerMonth = 30.0 * 86400.0;

struct Stream {
  std::string name;
  std::size_t bytes;
  double messages_per_second;
};

// The size on the wire of a message whose numbers are all as long as they get.
std::size_t size_of(const config::Config& config, const signals::Message& message) {
  const uplink::Envelope envelope{message.schema, config.gateway.id,
                                  message.stream, 1'800'000'000,
                                  100'000'000,    base::WallTime{std::chrono::seconds{1'800'000'000}},
                                  true,           "00000000-0000-0000-0000-000000000000",
                                  false};
  return uplink::to_json(envelope, message.members).size();
}

Stream state_stream(const Plan& plan, std::size_t twin) {
  const auto description = describe_twin(plan, twin);
  const telemetry::StateEncoder encoder(description, plan.config.uplink->digits, description.layout);
  const auto& model = plan.models[twin];
  estimation::TwinStep step(static_cast<std::size_t>(model.n_x()), static_cast<std::size_t>(model.n_u()),
                            static_cast<std::size_t>(model.n_y()));
  constexpr double kLong = -1.234567e-12;
  step.step = 100'000'000;
  step.mode = estimation::Mode::initializing;
  std::fill(step.x.begin(), step.x.end(), kLong);
  std::fill(step.std.begin(), step.std.end(), kLong);
  for (auto& input : step.inputs) input = {kLong, signals::Quality::good, signals::Reason::none, std::chrono::hours{1}};
  for (auto& output : step.outputs) {
    output = {
        kLong, kLong, kLong, kLong, kLong, false, signals::Quality::good, signals::Reason::none, std::chrono::hours{1}};
  }
  step.nis = kLong;
  step.nis_dof = static_cast<int>(model.n_y());
  signals::Message message;
  encoder.encode(step, {}, message);
  const double interval = std::chrono::duration<double>(description.state_interval).count();
  return {message.stream, size_of(plan.config, message), 1.0 / interval};
}

Stream samples_stream(const Plan& plan, const config::DeviceConfig& device) {
  const auto description = describe_device(device);
  const telemetry::SamplesEncoder encoder(
      description, [](base::Instant instant) { return base::WallTime{instant.time_since_epoch()}; });
  signals::DeviceSnapshot snapshot;
  for (std::size_t r = 0; r < device.registers.size(); ++r) {
    if (!device.registers[r].publish) continue;
    signals::TagSnapshot tag;
    tag.age = base::Duration::zero();
    tag.last.quality = signals::Quality::good;
    tag.last.value = -1.2345678901234567e-12;
    tag.last.raw.kind = device.driver.registers[r].type == drivers::ValueType::FLOAT64 ? signals::RawKind::float64
                                                                                       : signals::RawKind::float32;
    tag.last.raw.real = static_cast<double>(-1.2345678e-12F);
    if (device.driver.registers[r].type == drivers::ValueType::STRING) {
      tag.last.raw.kind = signals::RawKind::text;
      tag.last.raw.text.assign(static_cast<std::size_t>(device.driver.registers[r].length.value_or(0)), 'x');
    }
    snapshot.tags.push_back(std::move(tag));
  }
  signals::Message message;
  encoder.encode(snapshot, message);
  const double interval = std::chrono::duration<double>(*device.publish.interval).count();
  return {message.stream, size_of(plan.config, message), 1.0 / interval};
}

ordered_json report_stream(const config::Config& config, const Stream& stream, std::vector<std::string>& warnings,
                           std::vector<std::string>& errors) {
  const std::string topic = uplink::topic_of_stream(config.uplink->topic_prefix, stream.name);
  const auto slashes = std::count(topic.begin(), topic.end(), '/');
  const double units = std::ceil(static_cast<double>(stream.bytes) / static_cast<double>(kWarnedAbove));
  if (stream.bytes > kRefusedAbove) {
    errors.push_back("stream " + stream.name + ": a message of " + std::to_string(stream.bytes) +
                     " bytes is above the broker's limit of 131072; publish fewer registers");
  } else if (stream.bytes > kWarnedAbove) {
    warnings.push_back("stream " + stream.name + ": a message of " + std::to_string(stream.bytes) +
                       " bytes is above 5120 and is billed as " + std::to_string(static_cast<int>(units)) + " units");
  }
  if (!uplink::valid_topic(topic))
    errors.push_back("stream " + stream.name + ": the broker will not take the topic " + topic);
  return {{"stream", stream.name},
          {"topic", topic},
          {"topic_bytes", topic.size()},
          {"topic_slashes", slashes},
          {"message_bytes", stream.bytes},
          {"messages_per_second", stream.messages_per_second},
          {"bytes_per_second", static_cast<double>(stream.bytes) * stream.messages_per_second},
          {"billing_units_per_month", std::round(units * stream.messages_per_second * kSecondsPerMonth)}};
}

}  // namespace

ordered_json check_streams(const Plan& plan, std::vector<std::string>& warnings, std::vector<std::string>& errors) {
  ordered_json list = ordered_json::array();
  if (!plan.config.uplink) return list;
  double messages_per_second = 0.0;
  double bytes_per_second = 0.0;
  const auto add = [&](const Stream& stream) {
    list.push_back(report_stream(plan.config, stream, warnings, errors));
    messages_per_second += stream.messages_per_second;
    bytes_per_second += static_cast<double>(stream.bytes) * stream.messages_per_second;
  };
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) add(state_stream(plan, i));
  for (const auto& device : plan.config.devices) {
    if (device.publish.interval) add(samples_stream(plan, device));
  }
  const auto& uplink = *plan.config.uplink;
  if (uplink.max_messages_per_second && messages_per_second > *uplink.max_messages_per_second) {
    errors.push_back("uplink.max_messages_per_second: the streams make " + std::to_string(messages_per_second) +
                     " messages/s, more than " + std::to_string(*uplink.max_messages_per_second) +
                     "; lengthen publish intervals");
  }
  if (uplink.max_bytes_per_second && bytes_per_second > static_cast<double>(*uplink.max_bytes_per_second)) {
    errors.push_back("uplink.max_bytes_per_second: the streams make " + std::to_string(bytes_per_second) +
                     " bytes/s, more than " + std::to_string(*uplink.max_bytes_per_second) +
                     "; lengthen publish intervals");
  }
  return list;
}

ordered_json check_spool(const Plan& plan, const ordered_json& streams, std::vector<std::string>& warnings) {
  double bytes_per_second = 0.0;
  for (const auto& stream : streams) bytes_per_second += stream["bytes_per_second"].get<double>();
  const auto& spool = plan.config.spool;
  ordered_json report{{"directory", spool.directory},
                      {"max_bytes", spool.max_bytes},
                      {"max_age_hours", std::chrono::duration<double, std::ratio<3600>>(spool.max_age).count()}};
  if (bytes_per_second <= 0.0) {
    report["outage_hours"] = nullptr;
    return report;
  }
  const double by_size = static_cast<double>(spool.max_bytes) / bytes_per_second / 3600.0;
  const double by_age = std::chrono::duration<double, std::ratio<3600>>(spool.max_age).count();
  report["outage_hours"] = std::min(by_size, by_age);
  if (by_size < by_age) {
    warnings.push_back("spool: max_bytes is full after " + std::to_string(by_size) +
                       " h of outage, before max_age; raise spool.max_bytes or lengthen publish intervals");
  }
  // What the rate limit leaves beside live data; without a limit the broker decides.
  const auto& limit = plan.config.uplink->max_bytes_per_second;
  if (limit && static_cast<double>(*limit) > bytes_per_second) {
    const double stored = bytes_per_second * std::min(by_size, by_age) * 3600.0;
    report["drain_hours"] = stored / (static_cast<double>(*limit) - bytes_per_second) / 3600.0;
  } else {
    report["drain_hours"] = nullptr;
  }
  return report;
}

ordered_json check_files(const Plan& plan, std::vector<std::string>& warnings) {
  if (!plan.config.uplink) return nullptr;
  const auto& uplink = *plan.config.uplink;
  const auto now = std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now());
  ordered_json report{{"cert", uplink.cert}, {"key", uplink.key}, {"root_ca", uplink.root_ca}};
  for (const auto& fault : uplink::check_certificates(uplink, now)) warnings.push_back("uplink: " + fault.message);
  if (auto expiry = uplink::certificate_expiry(uplink.cert)) {
    const double days = std::chrono::duration<double, std::ratio<86400>>(expiry.value() - now).count();
    report["certificate_days_left"] = std::floor(days);
    if (days < 30 && days >= 0)
      warnings.push_back("uplink.cert: the certificate expires in " + std::to_string(static_cast<int>(days)) + " days");
  } else {
    report["certificate_days_left"] = nullptr;
  }
  return report;
}

}  // namespace twinkeeper::app
