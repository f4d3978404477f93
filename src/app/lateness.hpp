// How late the steps of all twins begin: what the scheduler of the operating system, and steps that wait for one another,
// cost on top of the grid.
//
// `at_most[i]` counts the steps since the start that began at most kLatenessBounds[i] behind their deadline, as a cumulative
// histogram has it; `seconds` has the quantiles of the last interval.
// Thread rule: record() by one thread, the rest by any. Allocation: none in record().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "telemetry/metrics_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/duration_histogram.hpp"

namespace twinkeeper::app {

struct LatenessBound {
  base::Duration most;
  const char* name;  // in `metrics`
};
inline constexpr std::array<LatenessBound, 10> kLatenessBounds{{
    {std::chrono::microseconds{50}, "step_lateness_le_50us_total"},
    {std::chrono::microseconds{100}, "step_lateness_le_100us_total"},
    {std::chrono::microseconds{200}, "step_lateness_le_200us_total"},
    {std::chrono::microseconds{500}, "step_lateness_le_500us_total"},
    {std::chrono::milliseconds{1}, "step_lateness_le_1ms_total"},
    {std::chrono::milliseconds{2}, "step_lateness_le_2ms_total"},
    {std::chrono::milliseconds{5}, "step_lateness_le_5ms_total"},
    {std::chrono::milliseconds{10}, "step_lateness_le_10ms_total"},
    {std::chrono::milliseconds{100}, "step_lateness_le_100ms_total"},
    {std::chrono::seconds{1}, "step_lateness_le_1s_total"},
}};

class Lateness {
 public:
  void record(base::Duration late) noexcept {
    seconds_.record(late);
    std::size_t bound = 0;
    while (bound < kLatenessBounds.size() && late > kLatenessBounds[bound].most) ++bound;
    if (bound < kLatenessBounds.size()) counts_[bound].fetch_add(1, std::memory_order_relaxed);
  }

  // `step_lateness_seconds_p50` … and the counts; quantiles begin anew.
  [[nodiscard]] telemetry::AdditionalMetrics take();

 private:
  base::DurationHistogram seconds_;
  std::array<std::atomic<std::uint64_t>, kLatenessBounds.size()> counts_{};  // each of its own span
};

}  // namespace twinkeeper::app
