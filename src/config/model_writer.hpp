// A model file as text that load_model() reads back to the same values.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::config {

// `diagnosis` and `provenance` are written as they are; null: not at all.
[[nodiscard]] std::string model_file_text(const model::ModelSettings& model, const nlohmann::ordered_json& diagnosis,
                                          const nlohmann::ordered_json& provenance);

}  // namespace twinkeeper::config
