// The files of the uplink: what is looked at, and which faults are only a matter of permission.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;

namespace {

constexpr const char* kConfig =
    "gateway: {id: gw}\nuplink: {endpoint: broker, cert: c.pem, key: k.pem, root_ca: r.pem}\n";

struct FilesRig {
  TemporaryFolder folder;
  std::string file = folder.write("a.yaml", kConfig);
  std::string key = folder.write("k.pem", "key\n");

  FilesRig() {
    folder.write("c.pem", "certificate\n");
    folder.write("r.pem", "certificate\n");
    ::chmod(key.c_str(), 0600);
  }
  [[nodiscard]] std::vector<config::Diagnostic> faults(bool check_files = true) const {
    auto result = config::load(file, {check_files, {}});
    auto* found = std::get_if<std::vector<config::Diagnostic>>(&result);
    return found != nullptr ? *found : std::vector<config::Diagnostic>{};
  }
};

bool only_permissions(const std::vector<config::Diagnostic>& faults) {
  return !faults.empty() &&
         std::all_of(faults.begin(), faults.end(), [](const auto& fault) { return fault.permission; });
}

}  // namespace

TEST_CASE("a key for its owner or readable by its group is accepted") {
  const FilesRig rig;
  for (const mode_t mode : {0400, 0600, 0440, 0640}) {
    ::chmod(rig.key.c_str(), mode);
    CHECK(rig.faults().empty());
  }
}

TEST_CASE("a key that others can read or the group can write is a fault of permission alone") {
  const FilesRig rig;
  for (const mode_t mode : {0604, 0644, 0660, 0602, 0601, 0666}) {
    ::chmod(rig.key.c_str(), mode);
    INFO(mode);
    CHECK(only_permissions(rig.faults()));
  }
}

TEST_CASE("a fault of permission beside another fault is not the only one") {
  const FilesRig rig;
  ::chmod(rig.key.c_str(), 0644);
  ::unlink((rig.folder.path() / "r.pem").c_str());
  const auto faults = rig.faults();
  REQUIRE(faults.size() == 2);
  CHECK_FALSE(only_permissions(faults));
}

TEST_CASE("files are left alone where the caller does not need them") {
  const FilesRig rig;
  ::unlink(rig.key.c_str());
  CHECK(rig.faults(false).empty());
  CHECK(rig.faults(true).size() == 1);
}
