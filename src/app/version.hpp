// What this binary is: for `version`, `status` and bug reports.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace twinkeeper::app {

inline constexpr std::string_view kVersion = TWINKEEPER_VERSION;
inline constexpr std::string_view kCompiler = TWINKEEPER_COMPILER;
inline constexpr std::string_view kBuildType = TWINKEEPER_BUILD_TYPE;

// Name and version of each third-party library as found when this binary was configured.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace twinkeeper::app
