// What a model is good for, by what it does on data that it was not fitted to, and what of the record speaks against it.
//
//   accept           the free simulation holds: every output ≥ kLeastOutput, their mean ≥ kLeastMean, no fold below 0
//   prediction_only  it does not, but one step ahead every output is told better than by persistence, and ≥ kLeastStep
//   reject           neither, or the record grows as no stable model can
// A model without inputs can be for prediction alone; it is accepted if it is no worse than persistence.
// Warnings: poles slower than a third of the record, a level that shifts or drifts within it, one-step below persistence.
// Thread rule: pure function.
#pragma once

#include <array>
#include <functional>

#include "identification/identify.hpp"

namespace twinkeeper::identification {

inline constexpr double kLeastOutput = 15.0;  // %
inline constexpr double kLeastMean = 30.0;    // %
inline constexpr double kLeastStep = 5.0;     // %, one step ahead: less is noise

// By the figures of `out` alone: all but growth, slow poles and shifts.
void judge_figures(bool has_inputs, Identified& out);

// Rejects a model that on rows it was not fitted to is worse than the one that it is to replace.
void judge_replacement(Identified& out);

// `records`: two training parts and the whole, scaled; `model`: of the whole; `errors`: of its and the folds' models'
// free simulations of the whole, n_y × ticks, scaled. Fills in verdict, reasons and warnings.
void judge(const std::array<std::reference_wrapper<const Experiments>, 3>& records, const LinearModel& model,
           const std::vector<Eigen::MatrixXd>& errors, bool has_inputs, const std::vector<std::string>& outputs,
           Identified& out);

// Warns of inputs that follow the errors, though nobody said that there is a controller.
void tell_feedback(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs, Identified& out);

}  // namespace twinkeeper::identification
