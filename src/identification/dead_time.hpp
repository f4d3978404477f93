// Dead times of inputs: found in a record, taken out of it, and put into a model as states that only wait.
//
// Thread rule: plain values, pure functions. Allocates.
#pragma once

#include <vector>

#include "identification/experiments.hpp"
#include "identification/identify.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::identification {

// By input: the ticks that pass until any output answers. From the impulse response (ARX with the four last outputs and
// kLongestDelay + 1 taps of each input), the first tap that is beyond 3.5 of its standard deviations, if the answer changes
// there: that of a slow plant is weak everywhere, and seen somewhere by chance. Zero where nothing answers, or the record
// is too short to tell.
inline constexpr Eigen::Index kLongestDelay = 60;
[[nodiscard]] std::vector<Eigen::Index> dead_times(const Experiments& experiments);

// Inputs moved by so many ticks; the first ticks of each experiment go.
[[nodiscard]] Experiments without_dead_times(const Experiments& experiments, const std::vector<Eigen::Index>& delays);

// Puts the delays of `model` into it: its inputs pass through states which only wait.
void add_waiting_states(Identified& model);

// The reverse: what a fit begins with, of a model whose waiting states stand behind the others, as many as `delays` say. With
// more of them than the model can have it is taken as it is. `K`: predictor gain.
[[nodiscard]] WarmStart without_waiting_states(const model::StateSpace& model, const Eigen::MatrixXd& K,
                                               std::vector<Eigen::Index> delays);

}  // namespace twinkeeper::identification
