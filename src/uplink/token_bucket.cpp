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

bool TokenBucket::available(base::Instant now, double reserve) {
  refill(now);
  return !rate_ || level_ > reserve;
}

void TokenBucket::take(double amount, base::Instant now) {
  if (!rate_) return;
  refill(now);
  level_ -= amount;
}

void TokenBucket::set_rate(double rate, base::Instant now) {
  refill(now);
  rate_ = rate;
}

base::Duration TokenBucket::wait(base::Instant now, double reserve) {
  if (available(now, reserve)) return base::Duration::zero();
  const double seconds = (reserve - level_) / *rate_;
  return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(seconds)) +
         std::chrono::milliseconds{1};
}

}  // namespace twinkeeper::uplink
