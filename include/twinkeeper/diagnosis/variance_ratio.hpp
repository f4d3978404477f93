// VarianceRatio: how noisy one output is beside what is expected of it.
//
//   V = (Σ z² − (Σ z)² / W) / (W − 1)   over the last W rows, z being the innovation in its own standard deviations
//
// 1 for a matched model, with (W − 1) V ~ χ²(W − 1); a constant bias leaves it as it is.
// Edge rules: below a full window there is no value. Thread rule: one thread. Allocation: none after construction.
#pragma once

#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

class VarianceRatio {
 public:
  VarianceRatio() = default;
  explicit VarianceRatio(int window) : rows_(static_cast<std::size_t>(window)) {}

  void add(double z, base::Instant time);
  void reset();

  [[nodiscard]] bool full() const { return count_ == rows_.size() && count_ > 1; }
  [[nodiscard]] double value() const;
  // When it was last at most, and at least, what is expected.
  [[nodiscard]] base::Instant onset_up() const { return onset_up_; }
  [[nodiscard]] base::Instant onset_down() const { return onset_down_; }

  template <class Archive>
  void archive(Archive& a) {
    a(rows_, next_, count_, sum_, squares_, onset_up_, onset_down_);
  }

 private:
  std::vector<double> rows_;  // ring
  std::size_t next_ = 0, count_ = 0;
  double sum_ = 0.0, squares_ = 0.0;
  base::Instant onset_up_, onset_down_;
};

}  // namespace twinkeeper::diagnosis
