#include "telemetry/metrics_encoder.hpp"

#include <algorithm>
#include <cstddef>

#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {
namespace {

void write_quantiles(JsonWriter& writer, const std::string& name, const DurationQuantiles& quantiles) {
  writer.number(name + "_p50", quantiles.p50);
  writer.number(name + "_p99", quantiles.p99);
  writer.number(name + "_max", quantiles.max);
}

void write_additional(JsonWriter& writer, const AdditionalMetrics& additional) {
  for (const auto& [name, value] : additional) {
    if (const auto* count = std::get_if<std::uint64_t>(&value)) {
      writer.natural(name, *count);
    } else if (const auto* number = std::get_if<double>(&value)) {
      writer.number(name, *number);
    } else {
      writer.text(name, std::get<std::string>(value));
    }
  }
}

void write_device(JsonWriter& writer, const DeviceMetrics& device) {
  writer.open_object(device.name);
  writer.natural("requests_total", device.requests_total);
  writer.natural("request_errors_total", device.request_errors_total);
  writer.natural("samples_total", device.samples_total);
  writer.natural("samples_bad_total", device.samples_bad_total);
  writer.natural("samples_late_total", device.samples_late_total);
  writer.natural("reconnects_total", device.reconnects_total);
  write_additional(writer, device.additional);
  writer.close_object();
}

void write_twin(JsonWriter& writer, const TwinMetrics& twin) {
  writer.open_object(twin.name);
  writer.natural("steps_total", twin.steps_total);
  writer.natural("steps_missed_total", twin.steps_missed_total);
  write_quantiles(writer, "step_seconds", twin.step_seconds);
  write_additional(writer, twin.additional);
  writer.close_object();
}

void write_gateway(JsonWriter& writer, const MetricsReport& report) {
  write_quantiles(writer, "twin_step_seconds", report.twin_step_seconds);
  writer.natural("steps_total", report.steps_total);
  writer.natural("steps_missed_total", report.steps_missed_total);
  writer.natural("samples_total", report.samples_total);
  writer.natural("samples_bad_total", report.samples_bad_total);
  writer.natural("samples_late_total", report.samples_late_total);
  writer.natural("samples_dropped_total", report.samples_dropped_total);
  writer.natural("steps_dropped_total", report.steps_dropped_total);
  writer.natural("snapshots_dropped_total", report.snapshots_dropped_total);
  writer.natural("spool_messages", report.spool_messages);
  writer.natural("spool_bytes", report.spool_bytes);
  writer.natural("spool_dropped_total", report.spool_dropped_total);
  write_quantiles(writer, "spool_commit_seconds", report.spool_commit_seconds);
  writer.natural("publish_sent_total", report.publish_sent_total);
  writer.natural("publish_acknowledged_total", report.publish_acknowledged_total);
  writer.natural("reconnects_total", report.reconnects_total);
  writer.text("endpoint", report.endpoint);
  writer.natural("rss_bytes", report.rss_bytes);
  writer.number("cpu_seconds_total", report.cpu_seconds_total);
  writer.milliseconds("uptime_ms", report.uptime);
  write_additional(writer, report.additional);
}

}  // namespace

std::vector<MetricsReport> shares_of(const MetricsReport& report) {
  constexpr std::size_t kMost = 50;
  const std::size_t longest = std::max({report.buses.size(), report.devices.size(), report.twins.size()});
  const auto keep = [](auto& list, std::size_t first) {
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(std::min(first + kMost, list.size())), list.end());
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(first, list.size())));
  };
  std::vector<MetricsReport> shares;
  for (std::size_t first = 0; first == 0 || first < longest; first += kMost) {
    MetricsReport& share = shares.emplace_back(report);
    keep(share.buses, first);
    keep(share.devices, first);
    keep(share.twins, first);
  }
  return shares;
}

void encode_metrics(const MetricsReport& report, base::Instant time, signals::Message& out) {
  out.stream = "metrics";
  out.schema = "twinkeeper.metrics/1";
  out.message_class = signals::MessageClass::metrics;
  out.time = time;
  out.retain = false;
  out.members.clear();
  JsonWriter writer(out.members);
  write_gateway(writer, report);
  writer.open_object("buses");
  for (const BusMetrics& bus : report.buses) {
    writer.open_object(bus.name);
    writer.number("utilisation", bus.utilisation);
    writer.close_object();
  }
  writer.close_object();
  writer.open_object("devices");
  for (const DeviceMetrics& device : report.devices) write_device(writer, device);
  writer.close_object();
  writer.open_object("twins");
  for (const TwinMetrics& twin : report.twins) write_twin(writer, twin);
  writer.close_object();
}

}  // namespace twinkeeper::telemetry
