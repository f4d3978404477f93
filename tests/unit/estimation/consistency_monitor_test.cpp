#include "twinkeeper/estimation/consistency_monitor.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "support/catch.hpp"

namespace {

using namespace twinkeeper::estimation;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A step with independent outputs: z are the innovations in standard deviations, NaN: not measured.
TwinStep step_of(const std::vector<double>& z, double gate = 1e9, Mode mode = Mode::tracking) {
  TwinStep step(1, 0, z.size());
  step.mode = mode;
  for (std::size_t i = 0; i < z.size(); ++i) {
    auto& row = step.outputs[i];
    row.std = 0.5;
    row.innovation = 0.5 * z[i];
    row.test_ratio = z[i] * z[i] / (gate * gate);
    row.fused = std::abs(z[i]) <= gate;
    if (std::isnan(z[i])) continue;
    step.nis += z[i] * z[i];
    ++step.nis_dof;
  }
  return step;
}

struct Feed {
  std::mt19937_64 random{11};
  std::normal_distribution<double> normal;
  ConsistencyMonitor monitor{2};

  void white(int steps, double scale = 1.0) {
    for (int k = 0; k < steps; ++k) monitor.take(step_of({scale * normal(random), scale * normal(random)}));
  }
};

}  // namespace

TEST_CASE("chi-square quantiles are those of the tables") {
  // Wilson and Hilferty against tables: a matter of per mille at 60 degrees, less above.
  CHECK(chi_square_quantile(60, -1.6448536269514722) == Approx(43.188).epsilon(1e-3));
  CHECK(chi_square_quantile(60, 1.6448536269514722) == Approx(79.082).epsilon(1e-3));
  CHECK(chi_square_quantile(1000, 2.3263478740408408) == Approx(1106.969).epsilon(1e-4));
  CHECK(chi_square_quantile(1, -5.0) == 0.0);
}

TEST_CASE("a matched model stays within its bounds") {
  Feed feed;
  for (int minute = 0; minute < 400; ++minute) {
    feed.white(60);
    const Consistency read = feed.monitor.read();
    CHECK(read.short_window.mean_nis > read.short_window.low);
    CHECK(read.short_window.mean_nis < read.short_window.high);
    CHECK(read.long_window.mean_nis > read.long_window.low);
    CHECK(read.long_window.mean_nis < read.long_window.high);
  }
  const Consistency read = feed.monitor.read();
  CHECK(read.long_window.mean_nis == Approx(1.0).margin(0.05));
  CHECK(std::abs(read.autocorrelation) < 2.6 / 60 * 1.5);
  CHECK(read.long_window.gated_share == 0.0);
}

TEST_CASE("noise that is underestimated leaves the short window within a minute and the long one at last") {
  Feed feed;
  feed.white(3600);
  feed.white(60, 2.0);
  Consistency read = feed.monitor.read();
  CHECK(read.short_window.mean_nis > read.short_window.high);
  CHECK(read.short_window.mean_nis == Approx(4.0).margin(1.5));
  feed.white(3600, 0.5);
  read = feed.monitor.read();
  CHECK(read.short_window.mean_nis < read.short_window.low);
  CHECK(read.long_window.mean_nis == Approx(0.25).margin(0.02));
}

TEST_CASE("coloured innovations of one output are told by their sign and size") {
  Feed feed;
  double coloured = 0.0;
  for (int k = 0; k < 7200; ++k) {
    coloured = -0.6 * coloured + 0.8 * feed.normal(feed.random);
    feed.monitor.take(step_of({feed.normal(feed.random), coloured}));
  }
  CHECK(feed.monitor.read().autocorrelation == Approx(-0.6).margin(0.05));
}

TEST_CASE("rejected rows are counted among the good ones, missing ones are not") {
  ConsistencyMonitor monitor(2);
  for (int k = 0; k < 60; ++k) monitor.take(step_of({k % 4 == 0 ? 6.0 : 0.1, kNaN}, 5.0));
  const Consistency read = monitor.read();
  CHECK(read.short_window.gated_share == 0.25);
  CHECK(read.short_window.mean_nis == Approx((15 * 36.0 + 45 * 0.01) / 60));
}

TEST_CASE("without rows, or before the twin follows, there are no figures") {
  ConsistencyMonitor monitor(1);
  for (int k = 0; k < 100; ++k) {
    monitor.take(step_of({kNaN}));
    monitor.take(step_of({3.0}, 5.0, Mode::lost));
    monitor.take(step_of({3.0}, 5.0, Mode::initializing));
  }
  const Consistency read = monitor.read();
  CHECK(std::isnan(read.short_window.mean_nis));
  CHECK(std::isnan(read.long_window.gated_share));
  CHECK(std::isnan(read.autocorrelation));
}
