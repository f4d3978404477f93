// How well a model of scaled deviations describes experiments, by output: fit = 100 · (1 − |y − ŷ| / |y − mean(y)|) %.
//
//   simulated  x0 of the least squared errors over the first rows (kRowsForStart of them, a third of a short
//              experiment), ŷ run from it without any y; those rows are not counted
//   predicted  H ticks ahead by the predictor, from the same x0 (0 without inputs), over the same rows; persistence is
//              ŷ(k) = y(k−H)
// Filled samples are not counted. NaN: an output that does not move, or a model that grows beyond all numbers.
// Thread rule: pure functions. Allocates.
#pragma once

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

struct Figures {
  Eigen::VectorXd fit;          // %
  Eigen::VectorXd persistence;  // %, empty for a simulation
};
[[nodiscard]] Figures simulated(const Experiments& experiments, const LinearModel& model);
[[nodiscard]] Figures predicted(const Experiments& experiments, const LinearModel& model, Eigen::Index horizon);

// y − ŷ of the free simulation, n_y × ticks of all experiments.
[[nodiscard]] Eigen::MatrixXd simulation_errors(const Experiments& experiments, const LinearModel& model);
// The same of the prediction one step ahead; 0 where a sample was filled.
[[nodiscard]] Eigen::MatrixXd innovations(const Experiments& experiments, const LinearModel& model);

}  // namespace twinkeeper::identification
