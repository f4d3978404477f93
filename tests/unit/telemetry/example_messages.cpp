#include "unit/telemetry/example_messages.hpp"

#include <array>

#include "telemetry/info_encoder.hpp"
#include "telemetry/json_writer.hpp"
#include "telemetry/samples_encoder.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::telemetry::example {
namespace {

using namespace std::chrono_literals;
using signals::Quality;
using signals::RawKind;
using signals::Reason;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr base::Instant kNow{100s + 300ms};
const std::string kHash = "sha256:5f2d6c0e9a4b71830c55e1f7a2d94b8860c3e7d1f09a6b52483de7c1a05f9b34";

std::vector<TagSource> sources() {
  std::vector<TagSource> result;
  for (const RegisterDescription& entry : device().registers) {
    result.push_back(
        {"tank_plc." + entry.name, "tank_plc", device().controller, 1, entry.register_kind, entry.address});
  }
  return result;
}

signals::Sample sample(signals::TagIndex tag, RawKind kind, double raw, double value, base::Instant time) {
  signals::Sample result;
  result.tag = tag;
  result.raw.kind = kind;
  result.raw.real = raw;
  result.raw.integer = kind == RawKind::boolean || kind == RawKind::signed_integer ? static_cast<std::int64_t>(raw) : 0;
  result.value = value;
  result.quality = Quality::good;
  result.time = time;
  return result;
}

}  // namespace

base::WallTime to_wall(base::Instant instant) { return base::WallTime{1'772'352'000s} + instant.time_since_epoch(); }

DeviceDescription device() {
  DeviceDescription result;
  result.name = "tank_plc";
  result.controller = "tcp://127.0.0.1:1502";
  result.poll_interval = 100ms;
  result.publish_interval = 1s;
  const auto add = [&result](std::string name, std::string unit, std::string kind, std::uint16_t address,
                             std::string type) -> RegisterDescription& {
    RegisterDescription entry;
    entry.name = std::move(name);
    entry.unit = std::move(unit);
    entry.register_kind = std::move(kind);
    entry.address = address;
    entry.type = std::move(type);
    entry.byte_order = "ABCD";
    result.registers.push_back(std::move(entry));
    return result.registers.back();
  };
  RegisterDescription& level_1 = add("level_1", "m", "holding", 0, "FLOAT32");
  level_1.min_value = 0.0;
  level_1.max_value = 2.0;
  RegisterDescription& level_2 = add("level_2", "m", "holding", 2, "FLOAT32");
  level_2.min_value = 0.0;
  level_2.max_value = 2.0;
  RegisterDescription& pump = add("pump_voltage", "V", "input", 10, "INT16");
  pump.scale = 0.01;
  pump.scaled = true;
  add("pump_on", "", "coil", 0, "BIT");
  RegisterDescription& serial = add("serial_number", "", "holding", 40, "STRING");
  serial.length = 8;
  RegisterDescription& spare = add("spare", "", "holding", 50, "UINT16");
  spare.publish = false;
  return result;
}

TwinDescription twin() {
  TwinDescription result;
  result.name = "tanks";
  result.period = 100ms;
  result.state_interval = 1s;
  result.model = {"two_tank", 1, kHash};
  result.states = {{"level_1", "m", 0.0, 2.0}, {"level_2", "m", 0.0, 2.0}};
  result.inputs = {{{"pump", "V", 0.0, 10.0}, sources()[2], {}}, {{"ambient", "degC"}, {}, 21.5}};
  result.outputs = {{{"level_1", "m"}, sources()[0]}, {{"level_2", "m"}, sources()[1]}, {{"flow", "m3/s"}, {}}};
  return result;
}

estimation::TwinStep step() {
  estimation::TwinStep result(2, 2, 3);
  result.step = 1003;
  result.time = kNow;
  result.mode = estimation::Mode::degraded;
  result.x = {0.12400130456, 0.118};
  result.std = {0.00081234567, 0.000795};
  result.inputs[0] = {3.02, Quality::good, Reason::none, 12ms};
  result.inputs[1] = {21.5, Quality::good, Reason::none, base::Duration{-1}};
  result.outputs[0] = {0.1253, 0.1240511, 0.0012489, 0.0021, 0.01414721, true, Quality::good, Reason::none, 3ms};
  result.outputs[1] = {0.1175, 0.1180021, kNone, 0.0021, kNone, false, Quality::bad, Reason::stuck, 3ms};
  result.outputs[2] = {kNone, 1.23e-5, kNone, 2e-7, kNone, false, Quality::bad, Reason::none, base::Duration{-1}};
  result.nis = 0.3536812;
  result.nis_dof = 1;
  return result;
}

AnomalySummary anomalies() { return {{"tanks.level_2.stuck"}, {}, diagnosis::Priority::medium}; }

signals::DeviceSnapshot snapshot() {
  signals::DeviceSnapshot result;
  result.first = kNow - 2500ms;
  result.last = kNow;
  result.tags.push_back({sample(0, RawKind::float32, static_cast<double>(0.1253f), 0.1253, kNow), 40ms});
  result.tags.push_back({sample(1, RawKind::float32, static_cast<double>(0.1175f), kNone, kNow), 40ms});
  result.tags.back().last.quality = Quality::bad;
  result.tags.back().last.reason = Reason::stuck;
  result.tags.push_back({sample(2, RawKind::signed_integer, 302.0, 3.02, kNow), 40ms});
  result.tags.push_back({sample(3, RawKind::boolean, 1.0, 1.0, kNow - 2500ms), 2540ms});
  signals::Sample serial = sample(4, RawKind::text, 0.0, kNone, kNow);
  serial.raw.text = "TK-00417";
  result.tags.push_back({serial, 40ms});
  return result;
}

diagnosis::AnomalyEvent anomaly() {
  diagnosis::AnomalyEvent event;
  event.owner = "tanks";
  event.id = "tanks.level_2.stuck";
  event.kind = diagnosis::AnomalyKind::sensor;
  event.test = "stuck";
  event.message = "Level sensor level_2 has not moved for 12.4 s while the tank did.";
  event.advice = "Compare with the sight glass, then check the sensor and its cable.";
  event.tags = {"tank_plc.level_2"};
  event.severity = 600;
  event.ne107 = diagnosis::NamurStatus::failure;
  event.time = kNow;
  event.onset = kNow - 12400ms;
  event.raised_at = kNow;
  event.statistic = 12.4;
  event.threshold = 12.0;
  event.expected = 0.1180021;
  event.measured = 0.1175;
  event.unit = "m";
  event.sigma = 0.0021;
  event.magnitude = -0.0005021;
  event.hypotheses = {{"sensor:tank_plc.level_2", 0.97}, {"process:level_2", 0.03}};
  event.nominal_false_alarms_per_day = 0.01;
  for (int i = 0; i < 3; ++i) event.trend.push_back({kNow - (2 - i) * 100ms, 0.1175, 0.1176 + i * 0.0002});
  return event;
}

AnomalyContext anomaly_context() {
  AnomalyContext context;
  context.to_wall = to_wall;
  context.source = [known = sources()](std::string_view tag) -> const TagSource* {
    for (const TagSource& source : known) {
      if (source.tag == tag) return &source;
    }
    return nullptr;
  };
  context.model = twin().model;
  return context;
}

StatusReport status() {
  StatusReport report;
  report.state = GatewayState::degraded;
  report.session = 3;
  report.previous = PreviousEpoch{1772351000, {{"devices.tank_plc.samples", 900}, {"twins.tanks.state", 899}}};
  report.version = "0.1.0";
  report.config_hash = "sha256:0b9a1f64d2c7e85530f1b7d86e4a92cd57f3081e6bca4d7290e5f8316ad2c4b7";
  report.uptime = 100s + 300ms;
  report.twins = {{"tanks", estimation::Mode::degraded}};
  report.devices = {{"tank_plc", DeviceState::up, ""},
                    {"meter", DeviceState::down, "10.0.0.7:502: no answer to the connection attempt"}};
  report.certificate_expires = base::WallTime{1'790'000'000s};
  return report;
}

MetricsReport metrics() {
  MetricsReport report;
  report.twin_step_seconds = {1.9e-06, 4.1e-06, 2.31e-05};
  report.steps_total = 1003;
  report.samples_total = 5015;
  report.samples_bad_total = 124;
  report.spool_messages = 2;
  report.spool_bytes = 1840;
  report.spool_commit_seconds = {0.0011, 0.0042, 0.0071};
  report.publish_sent_total = 208;
  report.publish_acknowledged_total = 206;
  report.reconnects_total = 1;
  report.endpoint = "broker.example.org:8883";
  report.rss_bytes = 14'680'064;
  report.cpu_seconds_total = 0.41;
  report.uptime = 100s + 300ms;
  report.buses = {{"tcp://127.0.0.1:1502", 0.021}};
  report.devices = {{"tank_plc", 2006, 0, 5015, 124, 0, 0, {{"poll_seconds_p99", 0.0031}}}};
  report.twins = {{"tanks", 1003, 0, {1.9e-06, 4.1e-06, 2.31e-05}, {}}};
  return report;
}

std::string with_envelope(const signals::Message& message, std::uint64_t sequence) {
  constexpr std::uint64_t kEpoch = 1'772'352'001;
  std::string text = "{";
  JsonWriter writer(text);
  writer.text("schema", message.schema);
  writer.text("gateway", "line3-gw1");
  writer.text("stream", message.stream);
  writer.natural("epoch", kEpoch);
  writer.natural("seq", sequence);
  writer.text("id", "line3-gw1/" + message.stream + "/" + std::to_string(kEpoch) + "/" + std::to_string(sequence));
  writer.timestamp("time", to_wall(message.time));
  writer.integer("time_ms", base::unix_milliseconds(to_wall(message.time)));
  writer.boolean("clock_synced", true);
  writer.text("boot_id", "2f6a1c1e-7d5b-4c39-9c53-0f6f4b9f1d10");
  writer.boolean("replay", false);
  return text + "," + message.members + "}";
}

std::vector<std::pair<std::string, std::string>> messages() {
  std::vector<std::pair<std::string, std::string>> result;
  signals::Message message;
  const auto add = [&](std::string kind, std::uint64_t sequence) {
    result.emplace_back(std::move(kind), with_envelope(message, sequence));
  };
  encode_status(status(), kNow, message);
  add("status", 1);
  encode_metrics(metrics(), kNow, message);
  add("metrics", 1);
  encode_device_info(device(), kNow, message);
  add("device_info", 1);
  encode_twin_info(twin(), kNow, message);
  add("twin_info", 1);
  SamplesEncoder(device(), to_wall).encode(snapshot(), message);
  add("samples", 100);
  StateEncoder(twin(), kDefaultDigits, StateLayout::nested).encode(step(), anomalies(), message);
  add("state", 101);
  StateEncoder(twin(), kDefaultDigits, StateLayout::flat).encode(step(), anomalies(), message);
  add("state_flat", 101);
  encode_anomaly(anomaly(), anomaly_context(), message);
  add("anomaly", 1);
  return result;
}

}  // namespace twinkeeper::telemetry::example
