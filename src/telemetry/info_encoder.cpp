#include "telemetry/info_encoder.hpp"

#include <cmath>

#include "telemetry/json_writer.hpp"
#include "telemetry/tag_source.hpp"

namespace twinkeeper::telemetry {
namespace {

// Configured numbers are repeated as they were written.
constexpr int kConfiguredDigits = 15;

void begin(signals::Message& out, std::string stream, std::string schema, base::Instant time) {
  out.stream = std::move(stream);
  out.schema = std::move(schema);
  out.message_class = signals::MessageClass::info;
  out.time = time;
  out.retain = true;
  out.members.clear();
}

void write_register(JsonWriter& writer, const std::string& device, const RegisterDescription& entry) {
  writer.open_element();
  writer.text("name", entry.name);
  writer.text("tag", device + "." + entry.name);
  writer.text_or_null("unit", entry.unit);
  writer.text_or_null("register", entry.register_kind);
  if (entry.group.empty()) {
    writer.integer("address", entry.address);
  } else {
    writer.null("address");
    writer.text("group", entry.group);
  }
  writer.text("type", entry.type);
  writer.text_or_null("byte_order", entry.byte_order);
  if (entry.bit) writer.integer("bit", *entry.bit);
  if (entry.bits) writer.integer("bits", *entry.bits);
  if (entry.length) writer.integer("length", *entry.length);
  writer.number("scale", entry.scale);
  writer.number("offset", entry.offset);
  writer.number("min_value", entry.min_value);
  writer.number("max_value", entry.max_value);
  writer.number("max_rate", entry.max_rate);
  writer.boolean("publish", entry.publish);
  writer.close_object();
}

void write_signal(JsonWriter& writer, const SignalDescription& signal) {
  writer.text("name", signal.name);
  writer.text_or_null("unit", signal.unit);
  writer.number("min", signal.min);
  writer.number("max", signal.max);
  if (!std::isfinite(signal.valid_max - signal.valid_min)) return;
  writer.number("valid_min", signal.valid_min);
  writer.number("valid_max", signal.valid_max);
}

void write_source(JsonWriter& writer, const std::optional<TagSource>& source) {
  if (!source) {
    writer.null("tag");
    writer.null("source");
    return;
  }
  writer.text("tag", source->tag);
  writer.open_object("source");
  write_tag_source(writer, *source);
  writer.close_object();
}

}  // namespace

void encode_device_info(const DeviceDescription& device, base::Instant time, signals::Message& out) {
  begin(out, "devices." + device.name + ".info", "twinkeeper.device_info/1", time);
  JsonWriter writer(out.members, kConfiguredDigits);
  writer.text("device", device.name);
  writer.text("controller", device.controller);
  writer.text("transmission_mode", device.transmission_mode);
  if (device.slave_id) {
    writer.integer("slave_id", *device.slave_id);
  } else {
    writer.null("slave_id");
  }
  writer.milliseconds("poll_interval_ms", device.poll_interval);
  if (device.publish_interval) {
    writer.milliseconds("publish_interval_ms", *device.publish_interval);
  } else {
    writer.null("publish_interval_ms");
  }
  writer.open_array("registers");
  for (const RegisterDescription& entry : device.registers) write_register(writer, device.name, entry);
  writer.close_array();
}

void encode_twin_info(const TwinDescription& twin, base::Instant time, signals::Message& out) {
  begin(out, "twins." + twin.name + ".info", "twinkeeper.twin_info/1", time);
  JsonWriter writer(out.members, kConfiguredDigits);
  writer.text("twin", twin.name);
  writer.milliseconds("period_ms", twin.period);
  writer.milliseconds("state_interval_ms", twin.state_interval);
  writer.text("layout", twin.layout == StateLayout::nested ? "nested" : "flat");
  writer.open_object("model");
  writer.text("name", twin.model.name);
  writer.integer("version", twin.model.version);
  writer.text("hash", twin.model.hash);
  writer.integer("order", static_cast<std::int64_t>(twin.states.size()));
  writer.close_object();
  if (!twin.limits.empty()) {
    writer.open_object("calibration");
    for (const auto& one : twin.limits) writer.text(one.regime, one.calibrated ? "calibrated" : "not_calibrated");
    writer.close_object();
  }
  writer.open_array("states");
  for (const SignalDescription& state : twin.states) {
    writer.open_element();
    write_signal(writer, state);
    writer.close_object();
  }
  writer.close_array();
  writer.open_array("inputs");
  for (const InputDescription& input : twin.inputs) {
    writer.open_element();
    write_signal(writer, input.signal);
    write_source(writer, input.source);
    writer.number("constant", input.constant);
    writer.close_object();
  }
  writer.close_array();
  writer.open_array("outputs");
  for (const OutputDescription& output : twin.outputs) {
    writer.open_element();
    write_signal(writer, output.signal);
    write_source(writer, output.source);
    writer.close_object();
  }
  writer.close_array();
}

}  // namespace twinkeeper::telemetry
