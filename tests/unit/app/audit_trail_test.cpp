#include "app/audit_trail.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;

std::vector<std::string> lines(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> read;
  for (std::string line; std::getline(in, line);) read.push_back(line);
  return read;
}

}  // namespace

TEST_CASE("the audit trail is private, goes on after a restart, and keeps the newest two files") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("commands.log");
  test::CollectedEvents events;
  const std::string line(1000, 'x');
  for (int run = 0; run < 3; ++run) {
    app::AuditTrail trail(file, events);
    for (int k = 0; k < 1000; ++k) {
      trail.append([&](std::uint64_t number) { return "{\"number\":" + std::to_string(number) + line; });
    }
  }
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  const auto newest = lines(file);
  auto all = lines(file + ".1");
  CHECK(std::filesystem::file_size(file) <= 1 << 20);
  CHECK(std::filesystem::file_size(file + ".1") <= 1 << 20);
  CHECK(all.size() > 1000);
  all.insert(all.end(), newest.begin(), newest.end());
  for (std::size_t k = 0; k < all.size(); ++k) {
    CHECK(all[k] == "{\"number\":" + std::to_string(3001 - all.size() + k) + line);
  }
  CHECK(events.raised.empty());
}

TEST_CASE("an audit trail that can't be written is told once, and again after it could") {
  const test::TemporaryFolder folder;
  const auto place = std::filesystem::path(folder.path()) / "state";
  const std::string file = (place / "commands.log").string();
  test::CollectedEvents events;
  app::AuditTrail trail(file, events);
  trail.append([](std::uint64_t) { return "a"; });
  trail.append([](std::uint64_t) { return "b"; });
  REQUIRE(events.raised.size() == 1);
  CHECK(events.raised[0].message.find(file) != std::string::npos);
  std::filesystem::create_directory(place);
  trail.append([](std::uint64_t) { return "c"; });
  CHECK(lines(file) == std::vector<std::string>{"c"});
  std::filesystem::remove_all(place);
  trail.append([](std::uint64_t) { return "d"; });
  CHECK(events.raised.size() == 2);
}

TEST_CASE("an audit trail does not follow a link to somewhere else") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("commands.log");
  std::ofstream(folder.file("other")) << "theirs\n";
  std::filesystem::create_symlink(folder.file("other"), file);
  test::CollectedEvents events;
  app::AuditTrail trail(file, events);
  trail.append([](std::uint64_t) { return "a"; });
  CHECK(lines(folder.file("other")) == std::vector<std::string>{"theirs"});
  CHECK(events.raised.size() == 1);
}
