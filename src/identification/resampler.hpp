// Rows of a log, as many and as irregular as they come, put on the ticks of a model's step, in a stream.
//
// Row 0 is at tick 0, t_k = k · T. The step is x(k+1) = A x(k) + B u(k), y(k) = C x(k): u(k) acts over [t_k, t_k+1),
// y(k) is what a sensor shows at t_k. Of a signal whose samples stand at most T / kFast apart there
//   u(k) = 1/T ∫ u(t) dt over [t_k, t_k + T), u(t) held from one sample to the next: to first order in T what the plant
//          integrates, whenever within the step an input moved
//   y(k) = 1/T ∫ y(t) dt over [t_k − T/2, t_k + T/2), y(t) straight from one sample to the next: a low-pass before the
//          decimation, with its centre at t_k. (A mean over the step before t_k would bring a dead time of T/2 along.)
// where kCovered of that window are between such samples. Else, as with a log of one row a tick, u(k) is the last sample
// nearest to t_k, y(k) the mean of those nearest to t_k; a y(k) of three or more samples of which only a part of the
// window is known (the edge of a gap) is missing. Ticks at the beginning and the end without any y are left out.
//
//   symbol  unit  meaning
//   T       ns    `period`
// Times that go back count as the newest. Memory: 8 bytes per signal and tick; rows are not kept.
// Errors: none. Thread rule: one thread. Allocates.
// Source: Ljung, System Identification (1999), §13.7 (prefilter before decimation), §14.1.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "identification/compare.hpp"

namespace twinkeeper::identification {

struct Resampled {
  Record record;  // a row per tick with rows, in order
  // Of all ticks, those left out at the ends included:
  std::uint64_t rows = 0;    // of the log
  std::uint64_t ticks = 0;   // with rows
  std::uint64_t values = 0;  // that are there
  std::uint64_t means = 0;   // of these, means of a window
};

class Resampler {
 public:
  static constexpr double kFast = 1.5;
  static constexpr double kCovered = 0.75;

  Resampler(std::chrono::nanoseconds period, std::size_t inputs, std::size_t outputs);
  // `values`: inputs, then outputs; not finite: missing.
  void add(std::chrono::nanoseconds time, std::span<const double> values);
  [[nodiscard]] Resampled finish();  // ends it

 private:
  struct Signal {
    std::chrono::nanoseconds offset{};  // from t_k to the beginning of its window
    bool held = false;
    bool any = false;
    std::chrono::nanoseconds time{};  // of the newest sample
    double value = 0.0;
    std::int64_t window = 0;  // tick whose window is being covered
    double covered = 0.0;     // ns of it
    double integral = 0.0;
    std::int64_t tick = -1;  // that the newest sample is nearest to
    double sum = 0.0;        // of the samples of that tick
    std::uint64_t count = 0;
    std::vector<double> by_tick;
  };
  void take(Signal& signal, std::chrono::nanoseconds time, double value);
  void cover(Signal& signal, std::chrono::nanoseconds end, double value);
  void close(Signal& signal);

  const std::chrono::nanoseconds period_;
  const std::size_t inputs_;
  std::vector<Signal> signals_;
  std::vector<std::int64_t> ticks_;
  bool any_ = false;
  std::chrono::nanoseconds zero_{}, newest_{};
  Resampled out_;
};

}  // namespace twinkeeper::identification
