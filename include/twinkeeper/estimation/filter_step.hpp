// What a filter did in one step, for those who look into the past of a twin (diagnosis/fault_isolation.hpp).
//
//   symbol      shape      unit      meaning
//   correction  n_x        state     x(k+1|k) − (A x(k|k−1) + B u + d), L ν_V with the gain L and the rows V of
//                                    the step, the projection on the states' limits included
//   R           n_y        output²   R_ii of this step, that of a mean where the row is one
//   root        n_x × n_x  state     lower triangular T with T Tᵀ = P(k|k−1), column-major; where it was not asked for, an
//                                    older one
//   A, C        n_x × n_x, n_y × n_x  –  of a nonlinear model: those it was linearised to; else empty
//
// Thread rule: a plain value. Allocation: only when what it is written to has other sizes.
#pragma once

#include <vector>

namespace twinkeeper::estimation {

struct FilterStep {
  std::vector<double> correction, R, root, A, C;
};

}  // namespace twinkeeper::estimation
