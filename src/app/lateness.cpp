#include "app/lateness.hpp"

#include <limits>

namespace twinkeeper::app {

telemetry::AdditionalMetrics Lateness::take() {
  const auto summary = seconds_.take();
  const auto known = [&](double seconds) {
    return summary.count > 0 ? seconds : std::numeric_limits<double>::quiet_NaN();
  };
  telemetry::AdditionalMetrics metrics{{"step_lateness_seconds_p50", known(summary.p50_s)},
                                       {"step_lateness_seconds_p99", known(summary.p99_s)},
                                       {"step_lateness_seconds_p999", known(summary.p999_s)},
                                       {"step_lateness_seconds_max", known(summary.max_s)}};
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < kLatenessBounds.size(); ++i) {
    so_far += counts_[i].load(std::memory_order_relaxed);
    metrics.emplace_back(kLatenessBounds[i].name, so_far);
  }
  return metrics;
}

}  // namespace twinkeeper::app
