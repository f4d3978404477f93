// Seeded noise that is the same on every machine and standard library: xoshiro256++ whose state is filled by
// SplitMix64, and Marsaglia's polar method for normal numbers. (std::normal_distribution is left to each library.)
// Thread rule: one thread. Allocation: none.
// Source: Blackman and Vigna (2021); Marsaglia and Bray (1964).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace twinkeeper::base {

class Random {
 public:
  explicit Random(std::uint64_t seed);
  // A stream of its own for each name, so that adding a twin never changes the noise of another.
  Random(std::uint64_t seed, std::string_view stream);

  [[nodiscard]] std::uint64_t bits();
  [[nodiscard]] double uniform();  // [0, 1)
  [[nodiscard]] double normal();   // mean 0, variance 1

 private:
  std::array<std::uint64_t, 4> state_{};
  double spare_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace twinkeeper::base
