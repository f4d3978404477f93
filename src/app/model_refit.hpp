// The model of a file made once more, from other rows of the log that it was made of.
//
// By what `identify` has noted in provenance: method, order, delays, data.inputs, data.outputs; of a template which
// parameters were sought, and where. Names, units, ranges and whatever else a person has written stay as they are;
// A, B, C, D, the noise and the operating point are new, of a template the parameters sought, starting from those of the
// model, and the noise.
//
// Error of the callback: corrupt, where the rows are too few or do not make a model; those of the reader.
// Thread rule: any thread. Allocates.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "identification/grey_box.hpp"
#include "logs/log_reader.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::app {

using ModelOfRows = std::function<base::Result<model::ModelSettings>(const std::vector<logs::RowRange>& rows)>;

// `provenance`: JSON, may be empty. Nothing to call where it does not tell how the model was made.
[[nodiscard]] ModelOfRows refit_of(const std::string& provenance, const model::ModelSettings& model,
                                   const std::string& log_file);

// Dead times by input, in ticks; 0 where provenance (JSON, may be empty) tells none.
[[nodiscard]] std::vector<Eigen::Index> delays_noted(const std::string& provenance, std::size_t inputs);

// Of a template: the parameters that were sought, with their ranges. Empty where provenance (JSON) tells none.
[[nodiscard]] std::vector<identification::SoughtParameter> sought_noted(const std::string& provenance,
                                                                        const model::ModelSettings& model);

}  // namespace twinkeeper::app
