// Where the twin thread leaves each validated sample for those who record, as long as somebody does.
//
// Thread rule: the twin thread pushes, the control thread opens, closes and takes. While it is closed a sample costs one
// load. Bounded: what finds no room is dropped and counted.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::app {

struct TappedSample {
  signals::TagIndex tag = 0;
  base::Instant time;
  double value = std::numeric_limits<double>::quiet_NaN();  // NaN: bad
};

class SampleTap {
 public:
  SampleTap() : samples_(kCapacity) {}

  void push(const signals::Sample& sample) {
    if (!open_.load(std::memory_order_relaxed)) return;
    const bool good = sample.quality != signals::Quality::bad;
    samples_.try_push({sample.tag, sample.time, good ? sample.value : std::numeric_limits<double>::quiet_NaN()});
  }

  void set_open(bool open) { open_.store(open, std::memory_order_relaxed); }
  bool try_take(TappedSample& sample) { return samples_.try_pop(sample); }
  [[nodiscard]] std::uint64_t dropped() const { return samples_.dropped(); }

 private:
  static constexpr std::size_t kCapacity = 8192;
  std::atomic<bool> open_{false};
  base::BoundedQueue<TappedSample> samples_;
};

}  // namespace twinkeeper::app
