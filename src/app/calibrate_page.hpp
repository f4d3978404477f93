// The page that `calibrate --report` writes: limits and false alarms by regime, then what the calibrated twin makes of
// the same rows, as in a replay (replay_page.hpp).
//
// Errors: those of the replay, told. Thread rule: one thread. Allocates.
#pragma once

#include <string>

#include "app/calibration.hpp"

namespace twinkeeper::app {

// `rows`: those that were used. An exit code; what went wrong is told.
[[nodiscard]] int write_calibrate_page(const std::string& file, const CalibrationJob& job,
                                       const CalibrationOutcome& outcome, const std::string& rows);

}  // namespace twinkeeper::app
