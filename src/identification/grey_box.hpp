// The physical parameters of a template from a record: a grey box.
//
//   min Σ_k Σ_i w_i (y_i(k) − ŷ_i(k))²      ŷ the free simulation, over the parameters and an x0 for each experiment
//
//   free        the parameters asked for; else all of the file but those at a default of the template that is not 0 (gravity,
//               a share of 1) and those that decide how many states there are. Their values are the starts
//   bounds      the range asked for, or what the template's table allows; of positive ones a decade either way
//   weights     1 of the outputs' variances, then once more 1 of the errors' (of several outputs)
//   ±           uncertainty.hpp: honest where the template leaves a part of the record unexplained
//   noise       then diag Q, and R, by the likelihood of the innovations of the (extended) filter. With a common factor of
//               all covariances put in, it is greatest where the sum of squares of e^ℓ L⁻¹ν is least, L Lᵀ = Σ, ℓ the mean
//               of ln diag L over all values
//   judged      by two more fits from the same starts, to the first and to the last 70 %, on the rest of each
//
// Augmented states are left out of the fit, and stay in the model.
// Errors, with every reason: corrupt (a record too short, equations that can't be run at the starts), invalid_argument
// (nothing free, a value outside its range).
// Thread rule: pure functions; jobs go through `for_each`, on_step is called from them. Allocates.
// Source: Ljung, System Identification (1999), §5.4 and §7.2; Bohlin, Practical Grey-box Process Identification (2006).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "identification/bounded_least_squares.hpp"
#include "identification/identify.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::identification {

struct SoughtParameter {
  std::string name;
  std::optional<double> min, max;  // in the template's unit
};

struct GreyBoxSettings {
  double sample_time = 1.0;                  // s
  std::vector<SoughtParameter> sought = {};  // empty: see `free`
  bool replaces = false;  // the model that it starts from: it must not be the better one on the last 30 % of the rows
  ForEach for_each = {};
  std::function<void(int step, double rmse)> on_step = {};  // of the fit to the whole record; rmse over w
};

struct GreyBox {
  model::ModelSettings model;  // with what was found
  Identified found;            // its figures, parameters, residuals, verdict; no matrices
};

// `settings`: completed, of a template, with signals in the order of the experiments'.
[[nodiscard]] base::Result<GreyBox> identify_template(const Experiments& experiments,
                                                      const model::ModelSettings& settings, const GreyBoxSettings& how);

// The same from other rows: the model alone, not judged.
[[nodiscard]] base::Result<model::ModelSettings> identify_template_again(const Experiments& experiments,
                                                                         const model::ModelSettings& settings,
                                                                         const GreyBoxSettings& how);

}  // namespace twinkeeper::identification
