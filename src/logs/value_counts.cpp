#include "logs/value_counts.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace twinkeeper::logs {

double ValueCounts::rounded(double value) const {
  if (bits_dropped_ == 0) return value;
  const std::uint64_t half = std::uint64_t{1} << (bits_dropped_ - 1);
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(value) + half;
  return std::bit_cast<double>(bits & ~(2 * half - 1));
}

void ValueCounts::coarsen() {
  constexpr int kStep = 4;
  bits_dropped_ += kStep;
  std::map<double, std::uint64_t> coarser;
  for (const auto& [value, count] : counts_) coarser[rounded(value)] += count;
  counts_ = std::move(coarser);
}

void ValueCounts::add(double value) {
  ++count_;
  ++counts_[rounded(value)];
  constexpr int kMostDropped = 44;  // 256 values per power of two are left: their number is bounded by itself
  while (counts_.size() > kMostDifferent && bits_dropped_ < kMostDropped) coarsen();
}

double ValueCounts::at(double part) const {
  if (count_ == 0) return 0.0;
  const auto wanted = std::min(static_cast<std::uint64_t>(part * static_cast<double>(count_)), count_ - 1);
  std::uint64_t passed = 0;
  for (const auto& [value, count] : counts_) {
    passed += count;
    if (passed > wanted) return value;
  }
  return counts_.rbegin()->first;
}

ValueCounts::Above ValueCounts::above(double value) const {
  Above out;
  for (auto one = counts_.upper_bound(value); one != counts_.end(); ++one) {
    out.count += one->second;
    out.sum += one->first * static_cast<double>(one->second);
  }
  return out;
}

}  // namespace twinkeeper::logs
