// A model file as text that load_model() reads back to the same values.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::config {

// `diagnosis` and `provenance` are written as they are; null: not at all.
[[nodiscard]] std::string model_file_text(const model::ModelSettings& model, const nlohmann::ordered_json& diagnosis,
                                          const nlohmann::ordered_json& provenance);

// "sha256:…" of a text, as provenance and hashes of models have it.
[[nodiscard]] std::string hash_of(const std::string& text);

}  // namespace twinkeeper::config
