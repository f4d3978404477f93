// Runs every folder of tests/config_errors: the faults of its config.yaml must be exactly the lines of
// expected_error.txt, in that order.
//
// A folder is copied to a temporary one first, because file modes are part of some cases and git keeps none:
// `modes.txt` has lines "MODE FILE", keys without a line get 0600. Files of `uplink` are looked at if the folder has
// any in `pki`.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

void set_modes(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".key") ::chmod(entry.path().c_str(), 0600);
  }
  if (!fs::exists(folder / "modes.txt")) return;
  for (const std::string& line : lines_of(folder / "modes.txt")) {
    std::istringstream words(line);
    unsigned mode = 0;
    std::string file;
    words >> std::oct >> mode >> file;
    REQUIRE(::chmod((folder / file).c_str(), mode) == 0);
  }
}

std::string without(std::string text, const std::string& folder) {
  for (std::size_t at = text.find(folder); at != std::string::npos; at = text.find(folder))
    text.erase(at, folder.size());
  return text;
}

std::vector<std::string> faults_of(const fs::path& folder) {
  config::LoadOptions options;
  options.check_files = fs::exists(folder / "pki");
  options.environment = {{"HOSTNAME", "gateway-7"}, {"PLC_HOST", "10.0.0.7"}, {"EMPTY", ""}, {"WORD", "many"}};
  const config::Loaded loaded = config::load((folder / "config.yaml").string(), options);
  std::vector<std::string> lines;
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded)) {
    for (const auto& fault : *faults) lines.push_back(without(fault.text(), folder.string() + "/"));
  }
  return lines;
}

}  // namespace

TEST_CASE("a wrong configuration gets exactly the expected lines for each folder of config_errors") {
  std::size_t cases = 0;
  const fs::path root = fs::path(TWINKEEPER_SOURCE_DIR) / "tests" / "config_errors";
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    ++cases;
    const TemporaryFolder temporary;
    fs::copy(entry.path(), temporary.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    set_modes(temporary.path());
    INFO(entry.path().filename().string());
    const std::vector<std::string> expected = lines_of(entry.path() / "expected_error.txt");
    CHECK_FALSE(expected.empty());
    CHECK(faults_of(temporary.path()) == expected);
  }
  CHECK(cases >= 60);
}
