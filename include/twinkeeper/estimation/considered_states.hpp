// States that a filter considers without estimating them (Schmidt's consider filter): how uncertain they are counts, but
// what is measured does not move them. They are the last of the model.
//
//   K = P Hᵀ Σ⁻¹, its rows of those states zero    Σ = H P Hᵀ + R    x ← x + K ν    P ← (I − K H) P (I − K H)ᵀ + K R Kᵀ
//
//   symbol  shape  unit     meaning
//   H, R    –      –        of the rows in use, which are independent of each other: R is diagonal, r
//   T       n × n  state    P = T Tᵀ; what comes out is the triangular root of [(I − K H) T, K √R]
//
// Errors: none; what is not finite stays so. Edge rules: no row in use changes nothing; considered states that are known
// exactly are no special case. Thread rule: one thread. Allocation: construction.
// Source: S. F. Schmidt, Application of State-Space Methods to Navigation Problems (1966), in array form.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace twinkeeper::estimation {

struct FilterArrays;

class ConsideredStates {
 public:
  ConsideredStates(const FilterArrays& arrays, int considered);

  // E and z as the kernels have them (T over H T, x over ν); `rows`: places of the rows in use; r of each row, by its
  // place. Replaces T and x; the lower parts of E and z stay those before the update. Returns νᵀ Σ⁻¹ ν.
  double update(FilterArrays& arrays, std::span<const int> rows, std::span<const double> r);

  // Of the P = T Tᵀ in E: the other states' variances, summed, as they would be were the considered ones known.
  [[nodiscard]] double spread_of_others(const FilterArrays& arrays);

 private:
  std::size_t others_, considered_;
  std::vector<double> root_;  // of Σ, or of the considered states' covariance: lower triangular, row by row
  std::vector<double> gain_;  // K, row by row
  std::vector<double> nu_, row_;
  std::vector<double> wide_;  // n × (n + p)
  std::vector<double> scratch_;
};

}  // namespace twinkeeper::estimation
