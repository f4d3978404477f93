// A record cut into experiments: stretches of the grid in which every signal is known at every tick.
//
// A stretch ends where no row comes for more than kLongestGap ticks, or one signal is missing for as long. What is
// missing within a stretch is filled: inputs are held, outputs run linearly from the value before to the one after, and
// are remembered as missing, so that nothing is fitted to a filled one. Of several rows in one tick the last input
// counts, and the mean of an output. Stretches below kShortestExperiment ticks are left out.
// Errors: corrupt, with names and percentages, when more than kMostMissing of a signal's ticks would have to be
// filled, or nothing is left. Thread rule: pure function. Allocates.
#pragma once

#include <Eigen/Core>
#include <string>
#include <utility>
#include <vector>

#include "identification/compare.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::identification {

inline constexpr double kMostMissing = 0.10;
inline constexpr Eigen::Index kShortestExperiment = 40;  // ticks

struct Experiment {
  Eigen::MatrixXd u, y;                                        // n_u × ticks, n_y × ticks; nothing is NaN
  std::vector<std::pair<Eigen::Index, Eigen::Index>> missing;  // output and tick that were filled, ticks ascending
  [[nodiscard]] Eigen::Index count() const { return y.cols(); }
};
using Experiments = std::vector<Experiment>;

[[nodiscard]] Eigen::Index ticks_in(const Experiments& experiments);

struct Cut {
  Experiments experiments;
  std::int64_t ticks = 0;       // from the first row to the last, long times without rows left out
  std::int64_t ticks_lost = 0;  // of them in no experiment
  double filled = 0.0;          // largest part of a signal's ticks that was filled, 0 … 1
};

// `inputs`, `outputs`: names, for messages.
[[nodiscard]] base::Result<Cut> cut_into_experiments(const Record& record, const std::vector<std::string>& inputs,
                                                     const std::vector<std::string>& outputs);

// Ticks begin … end−1, counted through all experiments; pieces below kShortestExperiment are left out.
[[nodiscard]] Experiments slice(const Experiments& experiments, Eigen::Index begin, Eigen::Index end);

}  // namespace twinkeeper::identification
