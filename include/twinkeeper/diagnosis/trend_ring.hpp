// TrendRing: the last kPoints measured and expected values of one output, not closer together than an interval.
// Thread rule: one thread. Allocation: none, except copy_to() into an empty vector.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"

namespace twinkeeper::diagnosis {

class TrendRing {
 public:
  static constexpr std::size_t kPoints = 60;

  explicit TrendRing(base::Duration interval = {}) : interval_(interval) {}

  void add(const TrendPoint& point) {
    if (count_ > 0 && point.time - newest_ < interval_) return;
    newest_ = point.time;
    points_[next_] = point;
    next_ = (next_ + 1) % kPoints;
    if (count_ < kPoints) ++count_;
  }

  void copy_to(std::vector<TrendPoint>& out) const {  // oldest first
    out.clear();
    out.reserve(count_);
    for (std::size_t i = 0; i < count_; ++i) out.push_back(points_[(next_ + kPoints - count_ + i) % kPoints]);
  }

  template <class Archive>
  void archive(Archive& a) {
    a(points_, next_, count_, newest_);
  }

 private:
  base::Duration interval_;
  std::array<TrendPoint, kPoints> points_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  base::Instant newest_;
};

}  // namespace twinkeeper::diagnosis
