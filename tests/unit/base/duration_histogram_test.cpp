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
  CHECK(summary.max_s == Approx(1000e-6));
  CHECK(histogram.take().count == 0);
}

TEST_CASE("DurationHistogram takes any duration, negative and very long ones included") {
  base::DurationHistogram histogram;
  histogram.record(-1s);
  histogram.record(24h);
  const auto summary = histogram.take();
  CHECK(summary.count == 2);
  CHECK(summary.max_s == Approx(86400.0));
}
