#include "twinkeeper/base/private_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;

namespace {

struct Rig {
  test::TemporaryFolder folder;
  std::string file = folder.path() + "/secret.key";
  Rig() { std::ofstream(file) << "secret"; }
  [[nodiscard]] std::string fault(mode_t mode) const {
    ::chmod(file.c_str(), mode);
    const auto found = base::private_file_fault(file);
    return found ? found->what : "";
  }
};

}  // namespace

TEST_CASE("A private file is for its owner and at most readable by its group") {
  const Rig rig;
  for (const mode_t mode : {0400, 0600, 0440, 0640}) CHECK(rig.fault(mode).empty());
  for (const mode_t mode : {0604, 0644, 0660, 0620, 0602, 0601}) {
    CAPTURE(base::octal_mode(mode));
    CHECK(rig.fault(mode).find("mode " + base::octal_mode(mode)) != std::string::npos);
  }
  CHECK_FALSE(base::private_file_fault(rig.folder.path() + "/nothing"));
}

TEST_CASE("A private file in a folder that everybody can write is not private unless the folder is sticky") {
  const Rig rig;
  ::chmod(rig.folder.path().c_str(), 0777);
  CHECK(rig.fault(0600).find("anybody can replace") != std::string::npos);
  ::chmod(rig.folder.path().c_str(), 01777);
  CHECK(rig.fault(0600).empty());
}

TEST_CASE("A private file of another user is refused unless root asks") {
  const Rig rig;
  if (::geteuid() != 0) return;  // only root can give files away
  REQUIRE(::chown(rig.file.c_str(), 12345, 12345) == 0);
  CHECK(rig.fault(0600).empty());
}
