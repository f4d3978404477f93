// What identify() has found as a model that can be written down.
#pragma once

#include "identification/identify.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::identification {

// Gives `model` states x1, x2, …, A, C, the noise and the operating point of `found`, and B and D if it has inputs. All else
// stays.
void take_matrices(const Identified& found, model::ModelSettings& model);

}  // namespace twinkeeper::identification
