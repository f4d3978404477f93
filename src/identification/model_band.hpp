// The bands in which a model fits as it does in healthy rows (model_watch.hpp): of the mean NIS and the autocorrelations of
// blocks of a regime's rows.
//
//   L = min(rows / 10, an hour), at least 60 rows; n blocks, at least 8, else there is no band
//   band = mean ± max(4 s, 1.3 · the largest departure)      s = max(standard deviation of the blocks, that of a matched
//                                                            model: m √(2 / Σ dof), 1 / √L)
// An alarm takes a day of blocks outside in a row, so what a block does once by chance is of no account; what counts is that
// nothing the healthy rows show, and nothing that lasts, is outside.
//
// Errors: none. Thread rule: pure function. Allocates.
#pragma once

#include "identification/calibrate.hpp"

namespace twinkeeper::identification {

// Fills in what `limits` has of bands; scales of the outputs are in it already.
void find_model_bands(const RegimeRows& rows, const CalibrationRequest& request, diagnosis::RegimeCalibration& limits);

}  // namespace twinkeeper::identification
