// What of the state directory is saved, put back and forgotten, and that root does it as the directory's owner.
#include "app/state_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/durable_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using Names = std::vector<std::string>;

struct StateRig {
  StateRig() {
    std::filesystem::create_directories(folder.file("checkpoints"));
    for (const char* name :
         {"alarms.json", "alarms.json.other_version", "config_overlay.json", "last_good", "session", "job.json",
          "commands.log", "commands.log.1", "commands.seen", "spool.db", "spool.epoch", "spool.lock", "spool.bad-1.db",
          "healthy.csv", "checkpoints/a.checkpoint", "checkpoints/a.checkpoint.damaged"}) {
      std::ofstream(folder.file(name)) << name;
    }
  }
  test::TemporaryFolder folder;
};

}  // namespace

TEST_CASE("what an operator's backup has of the state, and what a reset forgets of it") {
  const StateRig rig;
  CHECK(app::saved_state_files(rig.folder.path()) == Names{"alarms.json", "checkpoints/a.checkpoint", "commands.log",
                                                           "commands.log.1", "config_overlay.json", "last_good"});
  const Names forgotten{"alarms.json",
                        "alarms.json.other_version",
                        "checkpoints/a.checkpoint",
                        "checkpoints/a.checkpoint.damaged",
                        "config_overlay.json",
                        "job.json",
                        "last_good",
                        "session",
                        "spool.bad-1.db"};
  CHECK(app::forgotten_state_files(rig.folder.path(), false) == forgotten);
  CHECK(app::forgotten_state_files(rig.folder.path(), true).size() == forgotten.size() + 3);
  CHECK(app::is_saved_state_file("checkpoints/b.checkpoint"));
  for (const char* name : {"checkpoints/a/b.checkpoint", "checkpoints/a.checkpoint.damaged", "spool.db", "session"}) {
    CHECK_FALSE(app::is_saved_state_file(name));
  }
  CHECK(app::saved_state_files(rig.folder.file("nowhere")).empty());
}

TEST_CASE("the audit trail goes on with who has done what to the state") {
  const test::TemporaryFolder folder;
  app::record_in_trail(folder.path(), "restore", "backup of gw1");
  app::record_in_trail(folder.path(), "reset", "");
  const std::string trail = base::content_of(folder.file("commands.log")).value();
  CHECK(trail.starts_with(R"({"number":1,)"));
  CHECK(trail.find(R"("verb":"restore","result":"done")") != std::string::npos);
  CHECK(trail.find("{\"number\":2,") != std::string::npos);
}

TEST_CASE("root acts in the state directory with the rights of its owner, whom a link leads nowhere") {
  if (::geteuid() != 0) return;  // who is not root acts as he is
  constexpr uid_t kOwner = 54321;
  const test::TemporaryFolder folder;
  const std::string state = folder.file("state");
  std::ofstream(folder.file("secret")) << "of root";
  REQUIRE(::chmod(folder.file("secret").c_str(), 0600) == 0);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  std::filesystem::create_directory(state);
  std::filesystem::create_symlink(folder.file("secret"), state + "/alarms.json");
  REQUIRE(::chown(state.c_str(), kOwner, kOwner) == 0);
  {
    const app::AsOwner owner(state);
    CHECK(base::content_of(state + "/alarms.json").error().code() == base::ErrorCode::permission_denied);
    CHECK_FALSE(base::replace_file(folder.file("elsewhere"), "x").ok());
    REQUIRE(base::replace_file(state + "/last_good", "x").ok());
  }
  CHECK(::geteuid() == 0);
  CHECK(base::content_of(state + "/alarms.json").ok());
  struct stat status {};
  REQUIRE(::stat((state + "/last_good").c_str(), &status) == 0);
  CHECK(status.st_uid == kOwner);
  CHECK(status.st_gid == kOwner);
}
