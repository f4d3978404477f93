#include "twinkeeper/base/duration_histogram.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

TEST_CASE("DurationHistogram gives quantiles within its bucket width and starts anew after take") {
  base::DurationHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.record(i * 1us);
  const auto summary = histogram.take();
  CHECK(summary.count == 1000);
  CHECK(summary.p50_s == Approx(500e-6).epsilon(0.2));
  CHECK(summary.p99_s == Approx(990e-6).epsilon(0.2));
  CHECK(summary.p999_s == Approx(999e-6).epsilon(0.2));
  CHECK(summary.max_s == Approx(1000e-6));
  CHECK(histogram.take().count == 0);
}

TEST_CASE("A quantile of DurationHistogram is the end of the bucket that holds the duration") {
  base::DurationHistogram histogram;
  for (std::int64_t ns = 101; ns < 200'000'000'000; ns += 1 + ns / 37) {
    histogram.record(std::chrono::nanoseconds{ns});
    histogram.record(1h);
    const double quantile = histogram.take().p50_s * 1e9;
    CAPTURE(ns);
    REQUIRE(quantile >= static_cast<double>(ns) * (1.0 - 1e-15));
    REQUIRE(quantile < static_cast<double>(ns) * 1.18921);
  }
}

TEST_CASE("DurationHistogram takes any duration, negative and very long ones included") {
  base::DurationHistogram histogram;
  histogram.record(-1s);
  histogram.record(24h);
  const auto summary = histogram.take();
  CHECK(summary.count == 2);
  CHECK(summary.max_s == Approx(86400.0));
}
