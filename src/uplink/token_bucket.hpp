// Token bucket: at most `rate` units per second on average, at most `burst` at once.
//
// Live traffic takes its tokens without asking (the level may become negative) and the backlog waits until the level is
// positive again: live first, and both together keep to the rate. An absent rate never limits.
// Thread rule: one thread. No allocation.
#pragma once

#include <optional>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

class TokenBucket {
 public:
  TokenBucket(std::optional<double> rate, double burst, base::Instant now);

  // Whether there is more than `reserve`, which is less than the burst.
  [[nodiscard]] bool available(base::Instant now, double reserve = 0.0);
  void take(double amount, base::Instant now);
  // Time until available(); zero if it is now.
  [[nodiscard]] base::Duration wait(base::Instant now, double reserve = 0.0);
  // From now on.
  void set_rate(double rate, base::Instant now);

 private:
  void refill(base::Instant now);

  std::optional<double> rate_;
  double burst_;
  double level_;
  base::Instant filled_at_;
};

}  // namespace twinkeeper::uplink
