// The parts of augmentation that build() is made of.
#pragma once

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

// Checks `settings.augment` of settings that are complete otherwise, and fills in what a person may leave out; paths
// begin with "augment". A second call changes nothing.
[[nodiscard]] base::Issues complete_augmentation(ModelSettings& settings);

// Adds the states of `settings` behind those of `model`. A, B, C, D, Q, d are continuous before and after if
// `continuous` (Q a density), else of one step. S, x_op, names and limits are extended; the equations of a template are
// wrapped.
void augment(StateSpace& model, const std::vector<AugmentSettings>& settings, bool continuous);

// Adds theirs to `initial` and `initial_std` of the machine, where it has them.
void augment_initial(StateSpace& model);

}  // namespace twinkeeper::model
