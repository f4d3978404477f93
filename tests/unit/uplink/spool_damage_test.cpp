#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "spool_rig.hpp"
#include "uplink/spool.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::seconds;

namespace {

struct SpoolDamageRig : test::SpoolRig {
  void fill(int rows, std::size_t bytes = 100) {
    Spool spool = open();
    for (int i = 0; i < rows; ++i) spool.append(test::state_message(clock.now(), bytes));
  }
  [[nodiscard]] std::size_t files_set_aside() const {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      const std::string name = entry.path().filename().string();
      found += name.rfind("spool.bad-", 0) == 0 && name.find("-wal") == std::string::npos &&
                       name.find("-shm") == std::string::npos
                   ? 1
                   : 0;
    }
    return found;
  }
};

void overwrite(const std::string& path, std::size_t from, std::size_t bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(from));
  std::mt19937 random(7);
  for (std::size_t i = 0; i < bytes; ++i) file.put(static_cast<char>(random()));
}

std::vector<std::string> reasons(Spool& spool) {
  std::vector<std::string> found;
  for (const auto& gap : spool.take_own_messages()) {
    found.push_back(nlohmann::json::parse("{" + gap.message.members + "}")["reason"].get<std::string>());
  }
  return found;
}

// The state of a spool directory as a power cut leaves it: copied while the writer is alive.
void copy_spool_files(const std::string& from, const std::string& to) {
  for (const char* name : {"spool.db", "spool.db-wal", "spool.epoch"}) {
    if (std::filesystem::exists(from + "/" + name)) {
      std::filesystem::copy_file(from + "/" + name, to + "/" + name, std::filesystem::copy_options::overwrite_existing);
    }
  }
}

}  // namespace

TEST_CASE("a spool that is no database is set aside and never stops the start") {
  SpoolDamageRig rig;
  rig.fill(10);
  const std::uint64_t before = rig.open().epoch();
  overwrite(rig.folder.file("spool.db"), 0, 4096);
  Spool spool = rig.open();
  CHECK(spool.epoch() > before);
  CHECK(rig.files_set_aside() == 1);
  CHECK(rig.events.count("corrupt") == 1);
  CHECK(reasons(spool) == std::vector<std::string>{"corrupt"});
  CHECK(spool.append(test::state_message(rig.clock.now())).seq == 1);
  spool.commit();
  CHECK(spool.next_backlog(0, 100).size() == 2);
}

TEST_CASE("an empty file in the place of the spool is a new spool") {
  SpoolDamageRig rig;
  std::ofstream(rig.folder.file("spool.db")).flush();
  Spool spool = rig.open();
  spool.append(test::state_message(rig.clock.now()));
  spool.commit();
  CHECK(rig.events.events().empty());
}

TEST_CASE("a folder in the place of the spool is set aside") {
  SpoolDamageRig rig;
  std::filesystem::create_directory(rig.folder.file("spool.db"));
  Spool spool = rig.open();
  spool.append(test::state_message(rig.clock.now()));
  spool.commit();
  CHECK(rig.files_set_aside() == 1);
  CHECK(spool.next_backlog(0, 100).size() == 1);
}

TEST_CASE("a spool whose write-ahead log is cut anywhere starts with a prefix of what was committed") {
  SpoolDamageRig rig;
  Spool writer = rig.open();
  for (int i = 0; i < 40; ++i) {
    writer.append(test::state_message(rig.clock.now(), 500));
    writer.commit();
  }
  const auto size = std::filesystem::file_size(rig.folder.file("spool.db-wal"));
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    test::TemporaryFolder copy;
    copy_spool_files(rig.folder.path(), copy.path());
    const auto cut = std::uniform_int_distribution<std::uintmax_t>(0, size)(random);
    std::filesystem::resize_file(copy.file("spool.db-wal"), cut);
    SpoolSettings settings;
    settings.directory = copy.path();
    auto opened = Spool::open(settings, "gw1", rig.clock, "boot-1", rig.events);
    REQUIRE(opened.ok());
    Spool& spool = opened.value();
    CHECK(spool.epoch() > writer.epoch());
    const auto rows = spool.next_backlog(0, 1000);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].message.stream == "gap") continue;
      REQUIRE(rows[i].seq == i + 1);
    }
  }
}

TEST_CASE("random damage anywhere in the file never crashes the spool nor stops it from storing") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SpoolDamageRig rig;
    rig.fill(200, 900);
    std::mt19937 random(seed);
    const auto size = std::filesystem::file_size(rig.folder.file("spool.db"));
    overwrite(rig.folder.file("spool.db"), std::uniform_int_distribution<std::size_t>(0, size - 1)(random),
              std::uniform_int_distribution<std::size_t>(1, 6000)(random));
    Spool spool = rig.open();
    const auto stored = spool.append(test::state_message(rig.clock.now(), 10, "twins.after.state"));
    for (int i = 0; i < 3; ++i) {
      const auto rows = spool.next_backlog(0, 1000, 1u << 30);
      std::vector<std::int64_t> acknowledged;
      for (const auto& row : rows) {
        if (row.message.stream != "twins.after.state") acknowledged.push_back(row.row);
        if (row.message.stream == "twins.tanks.state") {
          REQUIRE(row.message.members == test::state_message({}, 900).members);  // never a wrong byte
        }
      }
      spool.acknowledge(acknowledged);
      spool.commit();
    }
    const auto rows = spool.next_backlog(0, 1000, 1u << 30);
    const auto after = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.row == stored.row; });
    CHECK(after != rows.end());
  }
}

TEST_CASE("what is spooled is for nobody else's eyes") {
  SpoolDamageRig rig;
  Spool spool = rig.open();
  spool.append(test::state_message(rig.clock.now()));
  spool.commit();
  for (const char* name : {"spool.db", "spool.db-wal", "spool.db-shm", "spool.epoch", "spool.lock"}) {
    CAPTURE(name);
    const auto mode = std::filesystem::status(rig.folder.file(name)).permissions();
    CHECK((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
          std::filesystem::perms::none);
  }
}

TEST_CASE("a row whose bytes rotted on disk is dropped and told") {
  SpoolDamageRig rig;
  rig.fill(5);
  rig.change_database({"UPDATE message SET body = replace(CAST(body AS TEXT), 'tanks', 'tnaks') WHERE seq = 3"});
  Spool spool = rig.open();
  const auto rows = spool.next_backlog(0, 100);
  CHECK(rows.size() == 4);
  for (const auto& row : rows) CHECK(row.seq != 3);
  CHECK(rig.events.count("row_corrupt") == 1);
  const auto gaps = spool.take_own_messages();
  REQUIRE(gaps.size() == 1);
  const auto document = nlohmann::json::parse("{" + gaps[0].message.members + "}");
  CHECK(document["first_seq"] == 3);
  CHECK(document["last_seq"] == 3);
  CHECK(document["reason"] == "corrupt");
}

TEST_CASE("a file that is ruined under a running spool is set aside and the spool goes on in a new epoch") {
  SpoolDamageRig rig;
  Spool spool = rig.open();
  for (int i = 0; i < 4000; ++i) {
    spool.append(test::state_message(rig.clock.now(), 1000));
    if (i % 100 == 99) spool.commit();
  }
  const std::uint64_t before = spool.epoch();
  const auto size = std::filesystem::file_size(rig.folder.file("spool.db"));
  overwrite(rig.folder.file("spool.db"), 4096, size - 4096);
  std::filesystem::resize_file(rig.folder.file("spool.db-wal"), 0);
  for (int i = 0; i < 10 && spool.epoch() == before; ++i) {
    spool.append(test::state_message(rig.clock.now()));
    spool.commit();
    static_cast<void>(spool.next_backlog(0, 5000, 1u << 30));
    rig.clock.advance(seconds{11});
  }
  REQUIRE(spool.epoch() > before);
  CHECK(rig.events.count("corrupt") >= 1);
  const auto stored = spool.append(test::state_message(rig.clock.now()));
  CHECK(stored.seq == 1);
  CHECK(stored.epoch == spool.epoch());
  spool.commit();
  CHECK_FALSE(spool.next_backlog(stored.row - 1, 100).empty());
  const auto why = reasons(spool);
  CHECK(std::count(why.begin(), why.end(), "corrupt") >= 1);
}

TEST_CASE("a state directory that is missing or can not be written to is the only reason to refuse") {
  SpoolDamageRig rig;
  SpoolSettings settings;
  settings.directory = rig.folder.file("missing");
  auto missing = Spool::open(settings, "gw1", rig.clock, "boot-1", rig.events);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == base::ErrorCode::not_found);
  CHECK(missing.error().message().find(settings.directory) != std::string::npos);

  std::ofstream(rig.folder.file("plain")).flush();
  settings.directory = rig.folder.file("plain");
  CHECK_FALSE(Spool::open(settings, "gw1", rig.clock, "boot-1", rig.events).ok());

  settings.directory = rig.folder.file("locked");
  std::filesystem::create_directory(settings.directory);
  std::filesystem::permissions(settings.directory,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec |
                                   std::filesystem::perms::others_read | std::filesystem::perms::others_exec);
  std::filesystem::permissions(rig.folder.path(), std::filesystem::perms::all);
  const pid_t child = ::fork();  // root may write anywhere, so another user tries
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    auto refused = Spool::open(settings, "gw1", rig.clock, "boot-1", rig.events);
    ::_exit(!refused.ok() && refused.error().code() == base::ErrorCode::permission_denied ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a process killed at any moment loses no committed message and never reuses an id") {
  SpoolDamageRig rig;
  std::mt19937 random(3);
  std::set<std::pair<std::uint64_t, std::uint64_t>> committed;
  std::set<std::uint64_t> epochs;
  for (int round = 0; round < 10; ++round) {
    int report[2];
    REQUIRE(::pipe(report) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(report[0]);
      auto opened = Spool::open(rig.settings, "gw1", rig.clock, "boot-1", rig.events);
      if (!opened.ok()) ::_exit(1);
      Spool& spool = opened.value();
      while (true) {
        std::uint64_t last[2] = {0, 0};
        for (int i = 0; i < 7; ++i) {
          const auto stored = spool.append(test::state_message(rig.clock.now(), 300));
          last[0] = stored.epoch;
          last[1] = stored.seq;
        }
        spool.commit();
        if (::write(report[1], last, sizeof last) != sizeof last) ::_exit(2);
      }
    }
    ::close(report[1]);
    const int commits = std::uniform_int_distribution<int>(1, 60)(random);
    std::uint64_t last[2] = {0, 0};
    for (int i = 0; i < commits; ++i) REQUIRE(::read(report[0], last, sizeof last) == sizeof last);
    ::kill(child, SIGKILL);
    while (true) {  // what it still reported is committed as well
      std::uint64_t more[2];
      if (::read(report[0], more, sizeof more) != sizeof more) break;
      std::copy(more, more + 2, last);
    }
    ::close(report[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(epochs.insert(last[0]).second);
    for (std::uint64_t seq = 1; seq <= last[1]; ++seq) committed.emplace(last[0], seq);
  }
  Spool spool = rig.open();
  CHECK_FALSE(epochs.contains(spool.epoch()));
  std::set<std::pair<std::uint64_t, std::uint64_t>> found;
  for (const auto& row : spool.next_backlog(0, 1u << 20, 1u << 30)) {
    CHECK(found.emplace(row.epoch, row.seq).second);
  }
  CHECK(std::includes(found.begin(), found.end(), committed.begin(), committed.end()));
  CHECK(rig.files_set_aside() == 0);
  CHECK(rig.events.count("corrupt") == 0);
}
