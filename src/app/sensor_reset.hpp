// What maintenance changes of a model: its sensors. The dynamics stay as they are.
//
//   b = (I + C (I − A)⁻¹ K) ν̄        R_ij ← R_ij √(f_i f_j)   S_ij ← S_ij √f_j   Ry_ij ← Ry_ij √(f_i f_j)
//   symbol  shape      unit     meaning
//   ν̄       n_y        output   median innovation
//   b       n_y        output   offsets of the sensors that leave it: a filter takes over a part of a constant offset; added to
//                               y of the operating point, where they are more than three times their uncertainty
//   f       n_y        –        what makes the robust variance of each innovation that of the model, found step by step;
//                               within 10^±4
//
// Q, A, B, C, D stay; K is that of Q and the new R, so K and Ry beside Q, R are dropped. Of a model with K and Ry alone K
// stays, and Ry alone is scaled.
// Offsets are left where nothing can be said of them: a template (its sensors have parameters), augmented states (they
// estimate offsets themselves and begin anew), and a machine whose slowest time constant is more than a fifth of the rows.
//
// Errors: those of `pass`, and of a model without a steady state. Thread rule: any thread, with a plan of its own. Allocates.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/plan.hpp"
#include "identification/calibrate.hpp"

namespace twinkeeper::app {

struct SensorReset {
  struct Output {
    std::string name, unit;
    double offset = 0.0;        // that was added to y of the operating point
    double noise_factor = 1.0;  // of the variance of its measurement noise
  };
  std::vector<Output> outputs;  // measured ones
  std::string offsets_left;     // why; empty: they were looked at
};

// `pass`: the rows through the twin as the plan has it, ungated. Changes the twin's model in the plan.
[[nodiscard]] base::Result<SensorReset> reset_sensors(
    Plan& plan, std::size_t twin, const std::function<base::Result<std::vector<identification::RegimeRows>>()>& pass);

}  // namespace twinkeeper::app
