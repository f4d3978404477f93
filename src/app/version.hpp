// What this binary is: for `version`, `status` and bug reports.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace twinkeeper::app {

extern const std::string_view kVersion, kCompiler, kBuildType;

// Name and version of each third-party library as found when this binary was configured.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace twinkeeper::app
