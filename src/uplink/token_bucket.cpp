#include "uplink/token_bucket.hpp"

#include <algorithm>

namespace twinkeeper::uplink {

TokenBucket::TokenBucket(std::optional<double> rate, double burst, base::Instant now)
    : rate_(rate), burst_(burst), level_(burst), filled_at_(now) {}

void TokenBucket::refill(base::Instant now) {
  if (!rate_ || now <= filled_at_) return;
  level_ = std::min(burst_, level_ + *rate_ * std::chrono::duration<double>(now - filled_at_).count());
  filled_at_ = now;
}

bool TokenBucket::available(base::Instant now) {
  refill(now);
  return !rate_ || level_ > 0.0;
}

void TokenBucket::take(double amount, base::Instant now) {
  if (!rate_) return;
  refill(now);
  level_ -= amount;
}

base::Duration TokenBucket::wait(base::Instant now) {
  if (available(now)) return base::Duration::zero();
  const double seconds = -level_ / *rate_;
  return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds)) +
         std::chrono::milliseconds{1};
}

}  // namespace twinkeeper::uplink
