#include <iostream>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/version.hpp"

namespace twinkeeper::app {

int version_command(bool json) {
  const auto libraries = library_versions();
  if (json) {
    nlohmann::ordered_json document{{"version", kVersion}, {"compiler", kCompiler}, {"build_type", kBuildType}};
    for (const auto& [name, version] : libraries) document["libraries"][name] = version;
    std::cout << document.dump(2) << '\n';
    return kExitDone;
  }
  std::cout << "twinkeeper " << kVersion << '\n' << "built with " << kCompiler << ", " << kBuildType << '\n';
  for (const auto& [name, version] : libraries) std::cout << name << ' ' << version << '\n';
  return kExitDone;
}

}  // namespace twinkeeper::app
