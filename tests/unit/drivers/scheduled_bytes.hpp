// Bytes that arrive one by one at instants of their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::test {

using Bytes = std::vector<std::uint8_t>;

class ScheduledBytes {
 public:
  // The first of `bytes` comes at `at`, each further one `apart` later; they mix with what is on its way already.
  void add(const Bytes& bytes, base::Instant at, base::Duration apart) {
    for (const std::uint8_t byte : bytes) {
      const auto place = std::upper_bound(bytes_.begin(), bytes_.end(), at,
                                          [](base::Instant time, const auto& entry) { return time < entry.first; });
      bytes_.insert(place, {at, byte});
      at += apart;
    }
  }
  [[nodiscard]] base::Instant next() const { return bytes_.empty() ? base::Instant::max() : bytes_.front().first; }
  // What has come by `now`, as much of it as `into` holds.
  std::size_t take(base::Instant now, std::span<std::uint8_t> into) {
    std::size_t size = 0;
    for (; size < into.size() && next() <= now; ++size) {
      into[size] = bytes_.front().second;
      bytes_.pop_front();
    }
    return size;
  }
  // Drops what has come by `now`; whether there was anything.
  bool drop(base::Instant now) {
    const std::size_t before = bytes_.size();
    while (next() <= now) bytes_.pop_front();
    return bytes_.size() < before;
  }
  void clear() { bytes_.clear(); }

 private:
  std::deque<std::pair<base::Instant, std::uint8_t>> bytes_;
};

}  // namespace twinkeeper::test
