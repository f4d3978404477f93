// What a twin expects of the next steps if nothing is measured: state, outputs and their uncertainty, under given
// inputs.
//
//   x(j+1) = A x(j) + B u(j) + d       P(j+1) = A P(j) Aᵀ + Q
//   of a state     x_i ± z √P_ii, not beyond its limits
//   of an output   ŷ_i ± z √Σ_ii, Σ = C P Cᵀ + R: where a measurement will be
//
// (nonlinear templates: relinearised at each step)
//
//   symbol  unit   meaning
//   j       steps  from 0, the step after the twin's newest
//   z       –      the normal quantile that leaves (1 − share) / 2 on either side
//
// The steps are those of the twin itself, with every output missing: limits, dead times, roll-back and modes are the
// live ones. The width of the bands is what the model says of itself; how often they hold is for a replay to count.
// Errors: none; a profile of another width than the model's inputs, or a share outside (0, 1), breaks an invariant
// (abort). Edge rules: std and bands are NaN where the model has none (innovations form alone). Thread rule: one
// thread. Allocation: the result. Source: Kalman (1960).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::prediction {

struct Band {
  double low = 0.0;
  double high = 0.0;
};

struct ForecastStep {
  std::int64_t step = 0;  // j
  std::vector<double> u;  // absolute, within the limits, as the model was driven
  std::vector<double> x, std;
  std::vector<Band> x_band;
  std::vector<double> y, y_std;  // y_std: √Σ_ii
  std::vector<Band> y_band;
  estimation::Mode mode = estimation::Mode::predict_only;  // what the twin would be by then
};

// Gives the inputs of step j, absolute: NaN leaves one at its value of the step before, at first the twin's last.
using InputProfile = std::function<void(std::int64_t step, std::span<double> u)>;

// `twin` is a copy: the one that runs is left alone. `told` is called once for each of `steps` steps.
void forecast(estimation::Twin twin, const InputProfile& profile, std::int64_t steps, double share,
              const std::function<void(const ForecastStep&)>& told);

// z with Φ(z) = p, 0 < p < 1.
[[nodiscard]] double normal_quantile(double p);

}  // namespace twinkeeper::prediction
