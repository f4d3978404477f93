// Bounds of a parameter, and how they are told.
#pragma once

#include <string>

#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

[[nodiscard]] bool within(const ParameterInfo& info, double value);
// "a number above 0 in W/K"
[[nodiscard]] std::string accepted_range(const ParameterInfo& info);

}  // namespace twinkeeper::model
