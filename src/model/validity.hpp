// Where a model is meant to hold: ranges of its inputs and outputs. What happens outside is for the twin
// (estimation/validity_watch.hpp); the equations go on.
#pragma once

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/settings.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

// Names that the completed model does not have, ranges that are none; paths as of complete().
void check_validity(const ModelSettings& settings, base::Issues& issues);
// Into Signal::valid.
void take_validity(const ModelSettings& settings, StateSpace& model);

}  // namespace twinkeeper::model
