#include "twinkeeper/base/private_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
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

TEST_CASE("A private file may be read by no other group unless the service manager put it there") {
  const Rig rig;
  if (::geteuid() != 0) return;  // only root can give files away
  REQUIRE(::chown(rig.file.c_str(), 0, 12345) == 0);
  CHECK(rig.fault(0600).empty());
  CHECK(rig.fault(0640).find("lets the group 12345 read") != std::string::npos);
  ::setenv("CREDENTIALS_DIRECTORY", rig.folder.path().c_str(), 1);
  CHECK(rig.fault(0440).empty());
  CHECK_FALSE(rig.fault(0444).empty());
  CHECK_FALSE(rig.fault(0660).empty());
  ::setenv("CREDENTIALS_DIRECTORY", (rig.folder.path() + "/other").c_str(), 1);
  CHECK_FALSE(rig.fault(0440).empty());
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_CASE("A private file is not private if a folder further up can be written by everybody") {
  const Rig rig;
  const std::string below = rig.folder.path() + "/open/closed";
  std::filesystem::create_directories(below);
  const std::string file = below + "/secret.key";
  std::ofstream(file) << "secret";
  ::chmod(file.c_str(), 0600);
  CHECK_FALSE(base::private_file_fault(file));
  ::chmod((rig.folder.path() + "/open").c_str(), 0777);
  const auto fault = base::private_file_fault(file);
  REQUIRE(fault);
  CHECK(fault->what.find("/open: anybody can replace") != std::string::npos);
}

TEST_CASE("A trusted file may be read by everybody and changed by its owner alone") {
  const Rig rig;
  const auto fault = [&](mode_t mode) {
    ::chmod(rig.file.c_str(), mode);
    const auto found = base::trusted_file_fault(rig.file);
    return found ? found->what : "";
  };
  for (const mode_t mode : {0400, 0640, 0444, 0644, 0755}) CHECK(fault(mode).empty());
  for (const mode_t mode : {0664, 0646, 0620, 0602}) {
    CAPTURE(base::octal_mode(mode));
    CHECK(fault(mode).find("mode " + base::octal_mode(mode) + " lets others than its owner change it") !=
          std::string::npos);
  }
  CHECK_FALSE(base::trusted_file_fault(rig.folder.path() + "/nothing"));
  ::chmod(rig.folder.path().c_str(), 0777);
  CHECK(fault(0644).find("anybody can replace the file in this folder") != std::string::npos);
}
