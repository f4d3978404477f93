// Durations of one repeated action, for quantiles in `metrics`: one thread records, any thread reads.
//
// Buckets grow by 2^(1/4) from 100 ns on, so a quantile is right within 19 %; the maximum is exact. take() starts anew.
// Allocation: none.
#pragma once

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::base {

class DurationHistogram {
 public:
  struct Summary {
    std::uint64_t count = 0;
    double p50_s = 0.0, p99_s = 0.0, p999_s = 0.0, max_s = 0.0;
  };

  void record(base::Duration duration) noexcept {
    const auto ns = static_cast<std::uint64_t>(duration.count() < 0 ? 0 : duration.count());
    buckets_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
    if (ns > max_.load(std::memory_order_relaxed)) max_.store(ns, std::memory_order_relaxed);
  }

  // What was recorded since the last take().
  Summary take() noexcept {
    std::array<std::uint64_t, kBuckets> counts{};
    Summary summary;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      counts[i] = buckets_[i].exchange(0, std::memory_order_relaxed);
      summary.count += counts[i];
    }
    summary.max_s = 1e-9 * static_cast<double>(max_.exchange(0, std::memory_order_relaxed));
    summary.p50_s = quantile(counts, summary, 0.50);
    summary.p99_s = quantile(counts, summary, 0.99);
    summary.p999_s = quantile(counts, summary, 0.999);
    return summary;
  }

 private:
  static constexpr std::size_t kBuckets = 128;  // up to 100 ns · 2^32: minutes

  // 2^(i/4)
  static constexpr std::array<double, 4> kQuarters{1.0, 0x1.306fe0a31b715p+0, 0x1.6a09e667f3bcdp+0,
                                                   0x1.ae89f995ad3adp+0};

  static std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns <= 100) return 0;
    int exponent = 0;
    const double growth = 2.0 * std::frexp(static_cast<double>(ns) / 100.0, &exponent);  // 1 ≤ growth < 2
    auto bucket = 4 * static_cast<std::size_t>(exponent - 1);
    for (const double quarter : kQuarters) bucket += growth > quarter ? 1 : 0;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  // Seconds; nothing in the bucket is longer.
  static double end_of(std::size_t bucket) noexcept {
    return std::ldexp(1e-7 * kQuarters[bucket % 4], static_cast<int>(bucket / 4));
  }

  static double quantile(const std::array<std::uint64_t, kBuckets>& counts, const Summary& summary, double q) noexcept {
    if (summary.count == 0) return 0.0;
    const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(summary.count)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts[i];
      if (seen >= rank) return std::fmin(summary.max_s, end_of(i));
    }
    return summary.max_s;
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace twinkeeper::base
