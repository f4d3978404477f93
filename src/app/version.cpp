#include "app/version.hpp"

#include <sstream>

namespace twinkeeper::app {

std::vector<std::pair<std::string, std::string>> library_versions() {
  std::vector<std::pair<std::string, std::string>> libraries;
  std::istringstream text(TWINKEEPER_LIBRARIES);
  for (std::string name, version; text >> name >> version;) libraries.emplace_back(name, version);
  return libraries;
}

}  // namespace twinkeeper::app
