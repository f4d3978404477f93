// Whether outputs go along a line in time that no input explains: a sensor that drifts, a disturbance that grows.
//
//   y(k) = Σ_{i=1…N} A_i y(k−i) + Σ_{i=0…N} B_i u(k−i) + c + d t(k) + e(k)     δ = 2 (I − Σ A_i)⁻¹ d
//
//   symbol  shape  meaning
//   t       –      −1 … 1 over the ticks of the record
//   d, δ    n_y    what stands in the equations, and by how much the outputs go from the first tick to the last
//
// N as in the models of lags that others stand beside (regression.hpp). ± is that of least squares, δ's with that of A_i
// in it. A walk has such lines by chance: kSurely is what the t of d exceeds in one walk out of a hundred.
// Thread rule: pure function. Allocates.
// Source: Dickey and Fuller, Econometrica 49 (1981), table III.
#pragma once

#include <vector>

#include "identification/experiments.hpp"

namespace twinkeeper::identification {

inline constexpr double kSurely = 3.5;  // standard deviations

struct Trend {
  double change = 0.0, std = 0.0;  // δ, in the unit of the experiments
  bool sure = false;               // d and δ, both
};
// By output. The experiments have inputs; none is sure in a record too short for one lag.
[[nodiscard]] std::vector<Trend> trends_of(const Experiments& experiments);

}  // namespace twinkeeper::identification
