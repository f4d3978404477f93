// Full-jitter back-off: before the n-th retry in a row, a pause drawn evenly from zero to min(cap, floor·2ⁿ). Many
// gateways that lost the same broker come back spread out.
// Thread rule: one thread. No allocation. Source: M. Brooker, "Exponential backoff and jitter", 2015 (full jitter).
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

class BackOff {
 public:
  BackOff(base::Duration floor, base::Duration cap, std::uint64_t seed) : floor_(floor), cap_(cap), random_(seed) {}

  [[nodiscard]] base::Duration next() {
    base::Duration bound = floor_;
    for (int i = 0; i < retries_ && bound < cap_; ++i) bound *= 2;
    bound = std::min(bound, cap_);
    if (bound < cap_) ++retries_;
    std::uniform_int_distribution<base::Duration::rep> pause(0, bound.count());
    return base::Duration{pause(random_)};
  }
  void reset() { retries_ = 0; }

 private:
  base::Duration floor_;
  base::Duration cap_;
  int retries_ = 0;
  std::mt19937_64 random_;
};

}  // namespace twinkeeper::uplink
