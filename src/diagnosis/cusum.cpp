#include "twinkeeper/diagnosis/cusum.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::diagnosis {

void TwoSidedCusum::add(double z, base::Instant time) {
  add_to(up_, z, z, time);
  add_to(down_, -z, z, time);
}

void TwoSidedCusum::add_to(Side& side, double towards, double z, base::Instant time) const {
  const double sum = std::min(cap_, side.sum + towards - drift_);
  if (!(sum > 0.0)) {
    side = Side{};
    return;
  }
  if (side.count == 0) {
    side.onset = time;
  } else {
    const double mean = side.total / static_cast<double>(side.count);
    side.back = std::max(0.0, side.back + std::min(0.5 * kReturned, mean * (0.5 * mean - z)));
  }
  side.sum = sum;
  side.total += z;
  ++side.count;
}

void TwoSidedCusum::reset() {
  up_ = Side{};
  down_ = Side{};
}

double TwoSidedCusum::mean() const {
  const Side& found = side();
  return found.count > 0 ? found.total / static_cast<double>(found.count) : 0.0;
}

double cusum_run_length(double drift, double limit, double shift) {
  const double barrier = limit + 1.166;
  const double slope = shift - drift;
  const double exponent = -2.0 * slope * barrier;
  if (std::abs(exponent) < 1e-4) return barrier * barrier;  // its limit for a slope of zero
  return (base::exp(exponent) - exponent - 1.0) / (2.0 * slope * slope);
}

}  // namespace twinkeeper::diagnosis
