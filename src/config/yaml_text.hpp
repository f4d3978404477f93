// A tree of values as YAML text that load() reads back to the same values.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace twinkeeper::config {

[[nodiscard]] std::string to_yaml(const nlohmann::ordered_json& tree);
// A value that to_yaml writes as it is, for numbers whose spelling matters (0x9C41).
[[nodiscard]] nlohmann::ordered_json verbatim(const std::string& text);

}  // namespace twinkeeper::config
