#include "identification/resampler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace twinkeeper::identification;
using namespace std::chrono_literals;
using Eigen::Index;

namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// One input and one output, a function of time each, in rows every `step`.
template <class Input, class Output>
Resampled resampled(std::chrono::nanoseconds period, std::chrono::nanoseconds step, int rows, Input u, Output y) {
  Resampler resampler(period, 1, 1);
  for (int k = 0; k < rows; ++k) {
    const auto time = 5s + k * step;
    const double t = std::chrono::duration<double>(k * step).count();
    resampler.add(time, std::array<double, 2>{u(t), y(t)});
  }
  return resampler.finish();
}

}  // namespace

TEST_CASE("rows of one a tick stay what they are, with a jitter of a fifth of the period, too") {
  Resampler resampler(1s, 1, 1);
  for (int k = 0; k < 100; ++k) {
    const auto jitter = k == 0 ? 0ms : std::chrono::milliseconds((k * 37) % 401 - 200);
    resampler.add(k * 1s + jitter, std::array<double, 2>{static_cast<double>(k % 7), static_cast<double>(k)});
  }
  const auto out = resampler.finish();
  REQUIRE(out.record.tick.size() == 100);
  for (Index k = 0; k < 100; ++k) {
    CHECK(out.record.tick[static_cast<std::size_t>(k)] == k);
    CHECK(out.record.u(k, 0) == static_cast<double>(k % 7));
    CHECK(out.record.y(k, 0) == static_cast<double>(k));
  }
  CHECK(out.means == 0);
  CHECK(out.values == 200);
}

TEST_CASE("of faster rows an output is a mean that is not shifted: a ramp stays on its line") {
  for (const auto step : {100ms, 250ms, 500ms, 130ms}) {
    const auto ramp = [](double t) { return 3.0 + 2.0 * t; };
    const auto out = resampled(1s, step, 400, ramp, ramp);
    const auto& record = out.record;
    REQUIRE(record.y.rows() > 20);
    for (Index row = 1; row + 1 < record.y.rows(); ++row) {
      const auto k = static_cast<double>(record.tick[static_cast<std::size_t>(row)]);
      CHECK(record.y(row, 0) == Approx(3.0 + 2.0 * k).epsilon(1e-12));
    }
    CHECK(out.means > 0);
  }
}

TEST_CASE("of faster rows an input is what acted over the step after its tick") {
  // 0 until 7.3 s, then 1.
  const auto out = resampled(
      1s, 100ms, 200, [](double t) { return t > 7.25 ? 1.0 : 0.0; }, [](double) { return 0.0; });
  const auto value = [&](std::int64_t tick) {
    for (std::size_t row = 0; row < out.record.tick.size(); ++row) {
      if (out.record.tick[row] == tick) return out.record.u(static_cast<Index>(row), 0);
    }
    return kNothing;
  };
  CHECK(value(6) == 0.0);
  CHECK(value(7) == Approx(0.7));
  CHECK(value(8) == 1.0);
}

TEST_CASE("what is faster than the ticks can show is taken out of an output before it folds back") {
  const double turn = 2.0 * 3.14159265358979;
  const auto disturbed = [&](double t) { return std::sin(turn * 0.01 * t) + std::sin(turn * 0.95 * t); };
  const auto out = resampled(
      1s, 50ms, 4000, [](double) { return 0.0; }, disturbed);
  double worst = 0.0;
  for (Index row = 0; row < out.record.y.rows(); ++row) {
    const auto k = static_cast<double>(out.record.tick[static_cast<std::size_t>(row)]);
    worst = std::max(worst, std::abs(out.record.y(row, 0) - std::sin(turn * 0.01 * k)));
  }
  CHECK(worst < 0.1);  // of single samples it were 1
}

TEST_CASE("a slow signal beside a fast one keeps its own samples") {
  Resampler resampler(1s, 1, 2);
  for (int k = 0; k < 200; ++k) {
    const double t = 0.1 * k;
    resampler.add(k * 100ms, std::array<double, 3>{t, t, k % 10 == 0 ? t * t : kNothing});
  }
  const auto out = resampler.finish();
  for (Index row = 0; row + 1 < out.record.y.rows(); ++row) {
    const auto k = static_cast<double>(out.record.tick[static_cast<std::size_t>(row)]);
    CHECK(out.record.y(row, 1) == Approx(k * k));
  }
}

TEST_CASE("a tick at the edge of a gap, of which only a part was seen, is missing, not shifted") {
  Resampler resampler(1s, 1, 1);
  const auto add = [&](int k) { resampler.add(k * 100ms, std::array<double, 2>{1.0, 0.1 * k}); };
  for (int k = 0; k < 100; ++k) add(k);    // until 9.9 s: tick 10 has the rows from 9.5 s on
  for (int k = 150; k < 200; ++k) add(k);  // from 15 s: tick 15 has those after it
  const auto record = resampler.finish().record;
  bool seen = false;
  for (std::size_t row = 0; row < record.tick.size(); ++row) {
    const double y = record.y(static_cast<Index>(row), 0);
    if (record.tick[row] == 10 || record.tick[row] == 15) {
      CHECK(std::isnan(y));
      seen = true;
    } else {
      CHECK(y == Approx(static_cast<double>(record.tick[row])));
    }
  }
  CHECK(seen);
  CHECK(record.tick.front() == 1);
}

TEST_CASE("a signal that pauses while others go on has its edges missing, too, and a whole window is a mean") {
  Resampler resampler(1s, 2, 1);
  for (int k = 0; k < 300; ++k) {
    const double t = 0.1 * k;
    const bool paused = k >= 100 && k < 200;  // the last sample at 9.9 s, the next at 20 s
    const double value = paused ? kNothing : t;
    resampler.add(k * 100ms, std::array<double, 3>{t, value, value});
  }
  const auto record = resampler.finish().record;
  const auto row_of = [&](std::int64_t tick) {
    return static_cast<Index>(std::find(record.tick.begin(), record.tick.end(), tick) - record.tick.begin());
  };
  CHECK(std::isnan(record.y(row_of(10), 0)));
  CHECK(std::isnan(record.y(row_of(20), 0)));
  CHECK(record.y(row_of(9), 0) == Approx(9.0));
  CHECK(record.u(row_of(9), 1) == Approx(record.u(row_of(8), 1) + 1.0).margin(0.06));  // of nine tenths: a mean
  CHECK(record.u(row_of(9), 1) != Approx(9.0));
  CHECK(record.u(row_of(25), 1) == Approx(record.u(row_of(25), 0)));
}

TEST_CASE("times that go back count as the newest, and rows without values are rows") {
  Resampler resampler(1s, 1, 1);
  for (const auto time : {0s, 1s, 2s, 1s, 3s}) resampler.add(time, std::array<double, 2>{1.0, 4.0});
  resampler.add(4s, std::array<double, 2>{kNothing, std::numeric_limits<double>::infinity()});
  const auto out = resampler.finish();
  CHECK(out.rows == 6);
  CHECK(out.record.tick == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(out.values == 8);
}
