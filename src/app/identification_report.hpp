// What `identify` prints: the record, the figures beside those of persistence and ARX, parameters, poles and gains with
// their standard deviations, what is left in the residuals, candidates, verdict.
//
// Thread rule: pure functions. Allocates.
#pragma once

#include <ostream>
#include <string>

#include "identification/identify.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::app {

[[nodiscard]] const char* name_of(identification::Verdict verdict);
void print_identification(std::ostream& out, const identification::Identified& found, const model::StateSpace& model,
                          const identification::Cut& cut);
// Beside the model that it is to replace: fits on the rows kept back, poles, gains.
void print_changes(std::ostream& out, const identification::Identified& found, const model::StateSpace& model,
                   const model::StateSpace& old);

}  // namespace twinkeeper::app
