#include "app/file_change.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;

namespace {

std::string content(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("files are replaced together and put back together") {
  const test::TemporaryFolder folder;
  const std::string old = folder.file("old"), fresh = folder.file("new"), gone = folder.file("gone");
  std::ofstream(old) << "before";
  std::ofstream(gone) << "here";
  ::chmod(old.c_str(), 0644);
  app::FileChange change({{old, "after"}, {fresh, "text"}, {gone, ""}});
  REQUIRE(change.put().ok());
  CHECK(content(old) == "after");
  CHECK(content(old + ".before") == "before");
  CHECK(content(fresh) == "text");
  CHECK_FALSE(std::filesystem::exists(gone));
  struct stat status {};
  REQUIRE(::stat(old.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
  change.put_back();
  CHECK(content(old) == "before");
  CHECK_FALSE(std::filesystem::exists(fresh));
  CHECK(content(gone) == "here");
  CHECK_FALSE(std::filesystem::exists(old + ".before"));
}

TEST_CASE("when one can't be replaced all stay as they were and it is named") {
  const test::TemporaryFolder folder;
  const std::string old = folder.file("a"), no_file = folder.file("b");
  std::ofstream(old) << "before";
  std::filesystem::create_directory(no_file);
  for (const std::string& other : {folder.file("no/such/folder"), no_file}) {
    app::FileChange change({{old, "after"}, {other, "text"}});
    const auto status = change.put();
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().message().find(other) != std::string::npos);
    CHECK(content(old) == "before");
    CHECK_FALSE(std::filesystem::exists(old + ".before"));
  }
}
