// Sensors that follow what they measure with a first-order lag, such as a thermometer in its well: one more state for
// each output with a `lag`, written into the settings before anything is built of them.
//
//   τ ds/dt = C_i δx + D_i δu − δs        δy_i = δs        s = y_i,op where the machine is at its operating point
//
//   symbol  unit           meaning
//   τ       s              OutputSettings::lag
//   s       of the output  state "<output>_sensor", behind the states as written, in the order of the outputs
//
// s has no process noise and no limits, and begins in balance with the given initial state at the inputs of the
// operating point: s(0) = y_op + C_i (x(0) − x_op); its initial_std is that of C_i x(0) with independent states, absent
// if one of these is absent. Since it is part of the continuous model it is discretised with it, exactly.
// Errors: check_sensor_lags() has those of discrete models (which do not say what the output does between two steps),
// of templates, and of names that are taken; paths as of complete(). Edge rules: settings of wrong shapes stay as they
// are, build() tells. Thread rule: pure. Allocation: load time only.
#pragma once

#include <string>

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

[[nodiscard]] std::string sensor_state_name(const OutputSettings& output);
void check_sensor_lags(const ModelSettings& settings, base::Issues& issues);
// Afterwards no output has a lag.
void add_sensor_lags(ModelSettings& settings);

}  // namespace twinkeeper::model
