#include "app/gateway_metrics.hpp"

#include <atomic>
#include <cmath>
#include <utility>

#include "app/descriptions.hpp"
#include "app/process_usage.hpp"

namespace twinkeeper::app {
namespace {

// Nothing recorded is nothing known, not zero.
telemetry::DurationQuantiles quantiles(const base::DurationHistogram::Summary& summary) {
  if (summary.count == 0) return {};
  return {summary.p50_s, summary.p99_s, summary.max_s};
}

// Regimes without limits of their own, as `info` has them.
std::string not_calibrated(const config::TwinConfig& twin) {
  std::string names;
  for (const auto& limits : limits_of_regimes(twin)) {
    if (!limits.calibrated) names += (names.empty() ? "" : ", ") + limits.regime;
  }
  return names;
}

}  // namespace

GatewayMetrics::GatewayMetrics(const Plan& plan, const Outbox& outbox, uplink::Statistics& uplink,
                               const base::Clock& clock, base::Instant process_start)
    : plan_(plan),
      outbox_(outbox),
      uplink_(uplink),
      clock_(clock),
      process_start_(process_start),
      before_(clock.now()),
      cpu_before_(process_usage().cpu_seconds),
      dropped_before_(uplink.dropped_total),
      published_before_(uplink.published_total),
      acknowledged_before_(uplink.acknowledged_total),
      reconnects_before_(uplink.reconnects_total) {}

telemetry::MetricsReport GatewayMetrics::report(TwinLoop& twins, const std::vector<std::unique_ptr<DeviceLoop>>& loops,
                                                const DevicePlaces& places, std::string endpoint) {
  telemetry::MetricsReport report;
  const auto load = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  for (std::size_t i = 0; i < plan_.config.twins.size(); ++i) {
    auto& figures = twins.twin_figures(i);
    const auto seconds = figures.step_seconds.take();
    telemetry::TwinMetrics twin;
    twin.name = plan_.config.twins[i].name;
    twin.steps_total = load(figures.steps_total);
    twin.steps_missed_total = load(figures.steps_missed_total);
    twin.step_seconds = quantiles(seconds);
    twin.additional.emplace_back("steps_revised_total", static_cast<double>(load(figures.steps_revised_total)));
    twin.additional.emplace_back("not_calibrated", not_calibrated(plan_.config.twins[i]));
    for (std::size_t f = 0; f < kConsistencyFigures.size(); ++f) {
      twin.additional.emplace_back(kConsistencyFigures[f], load(figures.consistency[f]));
    }
    report.steps_total += twin.steps_total;
    report.steps_missed_total += twin.steps_missed_total;
    report.steps_dropped_total += outbox_.steps[i]->dropped();
    // Over all twins: the worst of each quantile.
    const auto worst = [](double a, double b) { return std::fmax(a, b); };  // a NaN is nothing
    report.twin_step_seconds = {worst(report.twin_step_seconds.p50, twin.step_seconds.p50),
                                worst(report.twin_step_seconds.p99, twin.step_seconds.p99),
                                worst(report.twin_step_seconds.max, twin.step_seconds.max)};
    report.twins.push_back(std::move(twin));
  }
  report.additional = twins.lateness().take();
  std::map<std::size_t, std::uint64_t> busy_ns;
  std::map<std::size_t, std::string> links;
  for (std::size_t d = 0; d < plan_.config.devices.size(); ++d) {
    const DevicePlace& place = places.at(d);
    const auto& statistics = loops[place.loop]->poller().statistics(place.device);
    const auto& figures = twins.device_figures(d);
    telemetry::DeviceMetrics device;
    device.name = plan_.config.devices[d].driver.name;
    device.requests_total = load(statistics.requests_total);
    for (const auto& failures : statistics.failures_total) device.request_errors_total += load(failures);
    device.samples_total = load(figures.samples_total);
    device.samples_bad_total = load(figures.samples_bad_total);
    device.samples_late_total = load(figures.samples_late_total);
    device.reconnects_total = load(statistics.reconnects_total);
    device.additional = additional_metrics(statistics);
    device.additional.emplace_back("samples_too_late_total", static_cast<double>(load(figures.samples_too_late_total)));
    report.samples_total += device.samples_total;
    report.samples_bad_total += device.samples_bad_total;
    report.samples_late_total += device.samples_late_total;
    report.snapshots_dropped_total += outbox_.snapshots[d]->dropped();
    links.try_emplace(place.loop, drivers::link_name(plan_.config.devices[d].driver));
    busy_ns[place.loop] += static_cast<std::uint64_t>(load(statistics.busy_ns_total));
    report.devices.push_back(std::move(device));
  }
  const base::Instant now = clock_.now();
  for (const auto& [loop, busy] : busy_ns) {
    const auto before = std::exchange(busy_ns_before_[loop], busy);
    const double span = static_cast<double>((now - before_).count());
    report.buses.push_back({links[loop], span > 0 ? static_cast<double>(busy - before) / span : 0.0});
  }
  before_ = now;
  for (const auto& loop : loops) report.samples_dropped_total += loop->queue().dropped();
  report.spool_messages = load(uplink_.spool_messages);
  report.spool_bytes = load(uplink_.spool_bytes);
  report.spool_dropped_total = load(uplink_.dropped_total) - dropped_before_;
  report.spool_commit_seconds = quantiles(uplink_.commit_seconds.take());
  report.publish_sent_total = load(uplink_.published_total) - published_before_;
  report.publish_acknowledged_total = load(uplink_.acknowledged_total) - acknowledged_before_;
  report.reconnects_total = load(uplink_.reconnects_total) - reconnects_before_;
  report.endpoint = std::move(endpoint);
  const auto usage = process_usage();
  report.rss_bytes = usage.rss_bytes;
  report.cpu_seconds_total = usage.cpu_seconds - cpu_before_;
  report.uptime = now - process_start_;
  return report;
}

}  // namespace twinkeeper::app
