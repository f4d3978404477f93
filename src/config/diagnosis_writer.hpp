// The diagnosis as a model file has it.
#pragma once

#include <nlohmann/json.hpp>

#include "twinkeeper/diagnosis/settings.hpp"

namespace twinkeeper::config {

[[nodiscard]] nlohmann::ordered_json diagnosis_tree(const diagnosis::DiagnosisSettings& settings);

}  // namespace twinkeeper::config
