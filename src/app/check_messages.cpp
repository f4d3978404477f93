#include "app/check_messages.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "app/aws_jobs.hpp"
#include "app/check_report.hpp"
#include "app/descriptions.hpp"
#include "app/endpoints.hpp"
#include "app/lateness.hpp"
#include "telemetry/anomaly_encoder.hpp"
#include "telemetry/info_encoder.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "telemetry/samples_encoder.hpp"
#include "telemetry/state_encoder.hpp"
#include "telemetry/status_encoder.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "uplink/envelope.hpp"
#include "uplink/gap_list.hpp"
#include "uplink/outgoing.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Instant kSomeInstant{1'000'000s};
constexpr base::WallTime kSomeTime{1'800'000'000s};
constexpr double kLong = -1.2345678901234567e-12;
constexpr std::uint64_t kManyBytes = 1'000'000'000'000;
constexpr std::uint64_t kMany = 10'000'000'000;
constexpr std::size_t kErrorText = 120;  // a device's last error, most of which are shorter

constexpr const char* kLargeGateway = "fewer devices and twins on this gateway";

std::size_t size_of(const config::Config& config, const signals::Message& message, bool identity_in_id_only = false) {
  const uplink::Envelope envelope{
      message.schema, config.gateway.id,  message.stream, 1'800'000'000,
      100'000'000,    kSomeTime,          true,           "00000000-0000-0000-0000-000000000000",
      false,          identity_in_id_only};
  return uplink::to_json(envelope, message.members).size();
}

PlannedStream every(base::Duration interval, const config::Config& config, const signals::Message& message) {
  PlannedStream planned;
  planned.stream = message.stream;
  planned.when = "every " + base::format_duration(interval);
  planned.interval = interval;
  planned.message_bytes = size_of(config, message);
  return planned;
}

PlannedStream on_event(std::string when, std::string stream, std::size_t bytes) {
  PlannedStream planned;
  planned.stream = std::move(stream);
  planned.when = std::move(when);
  planned.message_bytes = bytes;
  return planned;
}

PlannedStream state_stream(const Plan& plan, std::size_t twin) {
  const auto description = describe_twin(plan, twin);
  const telemetry::StateEncoder encoder(description, plan.config.uplink->digits, description.layout);
  const auto& model = plan.models[twin];
  estimation::TwinStep step(static_cast<std::size_t>(model.n_x()), static_cast<std::size_t>(model.n_u()),
                            static_cast<std::size_t>(model.n_y()));
  step.step = 100'000'000;
  step.mode = estimation::Mode::initializing;
  std::fill(step.x.begin(), step.x.end(), kLong);
  std::fill(step.std.begin(), step.std.end(), kLong);
  for (auto& input : step.inputs) input = {kLong, signals::Quality::good, signals::Reason::none, 1h};
  for (auto& output : step.outputs) {
    output = {kLong, kLong, kLong, kLong, kLong, false, signals::Quality::good, signals::Reason::none, 1h};
  }
  step.nis = kLong;
  step.nis_dof = static_cast<int>(model.n_y());
  signals::Message message;
  encoder.encode(step, {}, message);
  PlannedStream planned = every(actual_state_interval(plan.config.twins[twin]), plan.config, message);
  planned.packed = true;
  const bool nested = description.layout == telemetry::StateLayout::nested;
  planned.path = path_of("twins", twin, nested ? "publish.layout" : "model");
  planned.smaller = nested ? "layout flat, or a smaller model" : "a smaller model";
  return planned;
}

// As long as a value of the register can get.
signals::RawValue longest_value(const drivers::RegisterSettings& settings) {
  using drivers::ValueType;
  signals::RawValue raw;
  const auto integer = [&raw](std::int64_t value) {
    raw.kind = signals::RawKind::signed_integer;
    raw.integer = value;
  };
  switch (settings.type) {
    case ValueType::BIT:
      raw.kind = signals::RawKind::boolean;
      raw.integer = 1;
      break;
    case ValueType::INT16:
    case ValueType::UINT16: integer(std::numeric_limits<std::int16_t>::min()); break;
    case ValueType::INT32:
    case ValueType::UINT32:
    case ValueType::BCD16:
    case ValueType::BCD32: integer(std::numeric_limits<std::int32_t>::min()); break;
    case ValueType::INT64:
    case ValueType::UINT64: integer(std::numeric_limits<std::int64_t>::min()); break;
    case ValueType::FLOAT16:
    case ValueType::FLOAT32:
      raw.kind = signals::RawKind::float32;
      raw.real = static_cast<double>(static_cast<float>(kLong));
      break;
    case ValueType::FLOAT64:
      raw.kind = signals::RawKind::float64;
      raw.real = kLong;
      break;
    case ValueType::STRING:
      raw.kind = signals::RawKind::text;
      raw.text.assign(static_cast<std::size_t>(settings.length.value_or(0)), 'x');
      break;
  }
  return raw;
}

PlannedStream samples_stream(const Plan& plan, std::size_t index) {
  const auto& device = plan.config.devices[index];
  const auto description = describe_device(device);
  const telemetry::SamplesEncoder encoder(
      description, [](base::Instant instant) { return base::WallTime{instant.time_since_epoch()}; });
  signals::DeviceSnapshot snapshot, lost;
  for (std::size_t r = 0; r < device.registers.size(); ++r) {
    if (!device.registers[r].publish) continue;
    signals::TagSnapshot tag;
    tag.age = base::Duration::zero();
    tag.last.quality = signals::Quality::good;
    tag.last.value = kLong;
    tag.last.raw = longest_value(device.driver.registers[r]);
    snapshot.tags.push_back(tag);
    tag.age = 10'000h;
    tag.last.quality = signals::Quality::bad;
    tag.last.reason = signals::Reason::timeout;
    lost.tags.push_back(std::move(tag));
  }
  signals::Message message;
  encoder.encode(lost, message);
  const std::size_t lost_bytes = size_of(plan.config, message);
  encoder.encode(snapshot, message);
  PlannedStream planned = device.publish.interval
                              ? every(*device.publish.interval, plan.config, message)
                              : on_event("on the command snapshot", message.stream, size_of(plan.config, message));
  planned.lost_bytes = lost_bytes;
  planned.packed = true;
  planned.path = path_of("devices", index, "registers");
  planned.smaller = "publish: false for some registers";
  return planned;
}

telemetry::DurationQuantiles long_quantiles() { return {-kLong, -kLong, -kLong}; }

PlannedStream metrics_stream(const Plan& plan) {
  telemetry::MetricsReport report;
  report.twin_step_seconds = report.spool_commit_seconds = long_quantiles();
  for (auto* total : {&report.steps_total, &report.steps_missed_total, &report.samples_total, &report.samples_bad_total,
                      &report.samples_late_total, &report.samples_dropped_total, &report.steps_dropped_total,
                      &report.snapshots_dropped_total, &report.spool_messages, &report.spool_dropped_total,
                      &report.publish_sent_total, &report.publish_acknowledged_total, &report.reconnects_total}) {
    *total = kMany;
  }
  report.spool_bytes = report.rss_bytes = kManyBytes;
  report.cpu_seconds_total = -kLong;
  report.uptime = 10'000h;
  report.additional = Lateness().take();
  for (auto& [name, value] : report.additional) value = kMany;
  for (const auto& endpoint : plan.config.uplink->endpoints)
    if (endpoint.name().size() > report.endpoint.size()) report.endpoint = endpoint.name();
  for (const auto& group : group_by_controller(plan.config)) {
    report.buses.push_back({drivers::link_name(plan.config.devices[group.front()].driver), -kLong});
  }
  for (const auto& config : plan.config.devices) {
    telemetry::DeviceMetrics device{config.driver.name, kMany, kMany, kMany, kMany, kMany, kMany, {}};
    device.additional = additional_metrics(drivers::DeviceStatistics{});
    for (auto& [name, value] : device.additional) value = kMany;
    device.additional.emplace_back("suggested_configuration", std::string(kLongestSuggestion, 'x'));
    report.devices.push_back(std::move(device));
  }
  for (const auto& twin : plan.config.twins) {
    report.twins.push_back({twin.name, kMany, kMany, long_quantiles(), {}});
  }
  signals::Message longest;
  for (const auto& share : telemetry::shares_of(report)) {
    signals::Message message;
    telemetry::encode_metrics(share, kSomeInstant, message);
    if (message.members.size() > longest.members.size()) longest = std::move(message);
  }
  PlannedStream planned = every(kMetricsInterval, plan.config, longest);
  planned.path = "devices";
  planned.smaller = kLargeGateway;
  return planned;
}

// The first one of an epoch, which also tells how far each stream of the one before went.
PlannedStream status_stream(const Plan& plan, const std::vector<PlannedStream>& others) {
  telemetry::StatusReport report;
  report.state = telemetry::GatewayState::degraded;
  report.reason = telemetry::StatusReason::connection_lost;
  report.session = kMany;
  report.previous = telemetry::PreviousEpoch{1'800'000'000, {}};
  for (const auto& other : others) report.previous->last[other.stream] = kMany;
  report.version = "10.10.10";
  report.config_hash = plan.config.hash;
  report.uptime = 10'000h;
  for (const auto& twin : plan.config.twins) report.twins.push_back({twin.name, estimation::Mode::initializing});
  for (const auto& device : plan.config.devices) {
    report.devices.push_back({device.driver.name, telemetry::DeviceState::degraded, std::string(kErrorText, 'x')});
  }
  report.certificate_expires = kSomeTime;
  signals::Message message;
  telemetry::encode_status(report, kSomeInstant, message);
  PlannedStream planned = every(plan.config.uplink->status_interval, plan.config, message);
  planned.when += ", on connect and on change";
  planned.spooled = false;
  planned.path = "devices";
  planned.smaller = kLargeGateway;
  return planned;
}

void add_infos(const Plan& plan, std::vector<PlannedStream>& streams) {
  const auto add = [&](const signals::Message& message, std::string path, std::string smaller) {
    streams.push_back(on_event("on connect", message.stream, size_of(plan.config, message)));
    streams.back().path = std::move(path);
    streams.back().smaller = std::move(smaller);
  };
  signals::Message message;
  for (std::size_t d = 0; d < plan.config.devices.size(); ++d) {
    telemetry::encode_device_info(describe_device(plan.config.devices[d]), kSomeInstant, message);
    add(message, path_of("devices", d, "registers"), "fewer registers");
  }
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    telemetry::encode_twin_info(describe_twin(plan, i), kSomeInstant, message);
    add(message, path_of("twins", i, "model"), "a smaller model");
  }
}

void add_anomalies(const Plan& plan, std::vector<PlannedStream>& streams) {
  const auto add = [&](const std::string& stream) {
    streams.push_back(on_event("on each event of an anomaly", stream, telemetry::kMaxAnomalyBytes));
  };
  for (const auto& device : plan.config.devices) add("devices." + device.driver.name + ".anomaly");
  for (const auto& twin : plan.config.twins) add("twins." + twin.name + ".anomaly");
  add("anomaly");
}

PlannedStream gap_stream(const Plan& plan, const std::vector<PlannedStream>& others) {
  uplink::Gap gap;
  for (const auto& other : others) {
    if (other.stream.size() > gap.stream.size()) gap.stream = other.stream;
  }
  gap.epoch = 1'800'000'000;
  gap.first_seq = gap.last_seq = gap.count = kMany;
  gap.first_time = gap.last_time = kSomeTime;
  gap.reason = uplink::GapReason::refused;
  signals::Message message;
  message.stream = "gap";
  message.schema = "twinkeeper.gap/1";
  message.members = uplink::gap_members(gap);
  return on_event("when messages were discarded", message.stream, size_of(plan.config, message, true));
}

}  // namespace

base::Duration actual_state_interval(const config::TwinConfig& twin) { return steps_per_state(twin) * twin.period; }

std::vector<PlannedStream> planned_streams(const Plan& plan) {
  std::vector<PlannedStream> streams;
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) streams.push_back(state_stream(plan, i));
  for (std::size_t d = 0; d < plan.config.devices.size(); ++d) {
    if (plan.config.devices[d].publish.interval || plan.config.commands.allows("snapshot")) {
      streams.push_back(samples_stream(plan, d));
    }
  }
  streams.push_back(metrics_stream(plan));
  add_infos(plan, streams);
  add_anomalies(plan, streams);
  streams.push_back(gap_stream(plan, streams));
  streams.push_back(status_stream(plan, streams));
  if (plan.config.uplink->jobs.value_or(false)) {
    streams.push_back(on_event("when a job collects them", "logs", kMostCollectedBytes));
    streams.back().is_packet = true;
  }
  if (plan.config.uplink->backlog == uplink::BacklogFormat::packed) {
    streams.push_back(on_event("after an outage", uplink::kPacketStream, uplink::kPacketBytes));
    streams.back().is_packet = true;
    streams.back().spooled = false;
  }
  return streams;
}

}  // namespace twinkeeper::app
