// The peer of lateness.py: wakes on a grid by clock_nanosleep and does nothing else.
// usage: bench_bare_sleep PERIOD_US SECONDS   prints count and quantiles of its lateness in seconds, as JSON
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "twinkeeper/base/duration_histogram.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const long period_ns = 1000 * std::atol(argv[1]);
  const long count = static_cast<long>(1e9 * std::atof(argv[2])) / period_ns;
  const auto nanoseconds = [](const timespec& t) { return 1'000'000'000LL * t.tv_sec + t.tv_nsec; };
  twinkeeper::base::DurationHistogram histogram;
  timespec at{};
  clock_gettime(CLOCK_MONOTONIC, &at);
  for (long i = 0; i < count; ++i) {
    at.tv_nsec += period_ns;
    while (at.tv_nsec >= 1'000'000'000) {
      at.tv_nsec -= 1'000'000'000;
      ++at.tv_sec;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
    }
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    histogram.record(std::chrono::nanoseconds{nanoseconds(now) - nanoseconds(at)});
  }
  const auto summary = histogram.take();
  std::printf("{\"count\": %llu, \"p50\": %.9f, \"p99\": %.9f, \"p999\": %.9f, \"max\": %.9f}\n",
              static_cast<unsigned long long>(summary.count), summary.p50_s, summary.p99_s, summary.p999_s,
              summary.max_s);
}
