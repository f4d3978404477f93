// How long something that failed is left alone: 0.5 s, doubling to 10 s, without jitter (one gateway talks to one
// controller: there is no herd to spread).
#pragma once

#include <algorithm>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

class BackOff {
 public:
  void fail(base::Instant now) noexcept {
    until_ = now + delay_;
    delay_ = std::min(2 * delay_, kLongest);
  }
  void clear() noexcept { *this = BackOff{}; }
  [[nodiscard]] bool blocks(base::Instant now) const noexcept { return now < until_; }
  [[nodiscard]] bool failed() const noexcept { return until_ != base::Instant::min(); }  // since the last clear()
  [[nodiscard]] base::Instant until() const noexcept { return until_; }

 private:
  static constexpr base::Duration kShortest = std::chrono::milliseconds{500};
  static constexpr base::Duration kLongest = std::chrono::seconds{10};
  base::Duration delay_ = kShortest;
  base::Instant until_ = base::Instant::min();
};

}  // namespace twinkeeper::drivers
