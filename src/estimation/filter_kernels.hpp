// The loops of a filter step over packed arrays, compiled for the usual sizes (padded with states and rows that are
// zero) and once for any size. Inner loops run down columns, so the compiler may vectorise them without changing a
// bit.
#pragma once

#include "twinkeeper/estimation/kalman_filter.hpp"

namespace twinkeeper::estimation {

// The state's half of a step (observe, correct, advance) and the covariance's (spread, and what fuse and predict do
// besides). A step whose covariance is the last one's needs the first half only.
struct FilterKernels {
  // expected = C x + D u, z = [x; 0].
  void (*observe)(FilterArrays& arrays, const double* u);
  // E = [T; C T], variance = R + diag C T Tᵀ Cᵀ.
  void (*spread)(FilterArrays& arrays);
  // Potter's update with row `row` of C T, innovation z[np + row] and variance r; returns its ν²/s. Fills column `row`
  // of gain and s.
  double (*fuse)(FilterArrays& arrays, int row, double r);
  // What fuse does to z, with gain and s as they are.
  double (*correct)(FilterArrays& arrays, int row);
  // x_next, T_next; `rows` columns of W are in use. False if not finite.
  bool (*predict)(FilterArrays& arrays, const double* u, int rows);
  // x_next alone.
  bool (*advance)(FilterArrays& arrays, const double* u, int rows);
  // out[i] = Σ_k T(i,k)², np of them, T as in E.
  void (*variances)(const FilterArrays& arrays, double* out);
};

struct PaddedSize {
  int n;
  int p;
};
[[nodiscard]] PaddedSize padded_size(int n, int p);
[[nodiscard]] const FilterKernels& kernels_for(PaddedSize size);

// The loops for any size, without more than the compiler's own choice of instructions.
[[nodiscard]] const FilterKernels* kernels_plain();
// On x86-64: the same for processors that have these instructions.
[[nodiscard]] const FilterKernels* kernels_avx2();
[[nodiscard]] const FilterKernels* kernels_avx512();

}  // namespace twinkeeper::estimation
