#include "app/version.hpp"

#include <sstream>

namespace twinkeeper::app {

// By src/app/CMakeLists.txt, to this file alone.
const constinit std::string_view kVersion = TWINKEEPER_VERSION;
const constinit std::string_view kCompiler = TWINKEEPER_COMPILER;
const constinit std::string_view kBuildType = TWINKEEPER_BUILD_TYPE;

std::vector<std::pair<std::string, std::string>> library_versions() {
  std::vector<std::pair<std::string, std::string>> libraries;
  std::istringstream text(TWINKEEPER_LIBRARIES);
  for (std::string name, version; text >> name >> version;) libraries.emplace_back(name, version);
  return libraries;
}

}  // namespace twinkeeper::app
