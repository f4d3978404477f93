// How often each value of a stream came, for its median and other quantiles in bounded memory.
//
// Exact up to kMostDifferent different values; beyond, all are rounded to ever fewer significant bits (48, 44, 40, …),
// which a sensor or a clock with jitter does not show in its median. Thread rule: one thread. Allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace twinkeeper::logs {

class ValueCounts {
 public:
  static constexpr std::size_t kMostDifferent = 20'000;

  void add(double value);  // finite
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Of the values in ascending order the one at `part` (0 … 1) of them; 0 of none. at(0.5) is the median, the upper one.
  [[nodiscard]] double at(double part) const;
  struct Above {
    std::uint64_t count = 0;
    double sum = 0.0;
  };
  [[nodiscard]] Above above(double value) const;

 private:
  [[nodiscard]] double rounded(double value) const;
  void coarsen();

  std::map<double, std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  int bits_dropped_ = 0;  // of 52
};

}  // namespace twinkeeper::logs
