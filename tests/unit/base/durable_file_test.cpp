#include "base/durable_file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;
using base::ErrorCode;

namespace {

unsigned mode_of(const std::string& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? status.st_mode & 07777U : 0U;
}

}  // namespace

TEST_CASE("a file is replaced as a whole and then holds what was given, to the byte") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("state");
  const std::string content = std::string("a\0b\n", 4) + std::string(200'000, 'x');
  for (const std::string& text : {content, std::string(), std::string("short")}) {
    REQUIRE(base::replace_file(file, text).ok());
    CHECK(base::content_of(file).value() == text);
  }
  CHECK(mode_of(file) == 0600U);
  CHECK_FALSE(std::filesystem::exists(file + ".new"));
}

TEST_CASE("who may read a file that is written again does not change, and one that is new obeys the umask") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("model");
  const mode_t before = ::umask(0027);
  CHECK(base::rewrite_file(file, "a", 0644).ok());
  CHECK(mode_of(file) == 0640U);
  std::filesystem::permissions(file, static_cast<std::filesystem::perms>(0664));
  CHECK(base::rewrite_file(file, "b", 0600).ok());
  ::umask(before);
  CHECK(mode_of(file) == 0664U);
  CHECK(base::content_of(file).value() == "b");
}

TEST_CASE("text is appended to a file that is there, whatever its mode, and makes none") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("log");
  CHECK(base::append_to_file(file, "a").error().code() == ErrorCode::not_found);
  CHECK_FALSE(std::filesystem::exists(file));
  std::ofstream(file) << "one\n";
  std::filesystem::permissions(file, std::filesystem::perms(0640));
  REQUIRE(base::append_to_file(file, "two\n").ok());
  REQUIRE(base::append_to_file(file, "").ok());
  REQUIRE(base::append_to_file(file, "three\n").ok());
  CHECK(base::content_of(file).value() == "one\ntwo\nthree\n");
  CHECK(mode_of(file) == 0640U);
}

TEST_CASE("a link is neither appended to nor replaced through") {
  const test::TemporaryFolder folder;
  const std::string theirs = folder.file("theirs"), link = folder.file("link");
  std::ofstream(theirs) << "theirs";
  std::filesystem::create_symlink(theirs, link);
  CHECK(base::append_to_file(link, "ours").error().code() == ErrorCode::io);
  std::filesystem::create_symlink(theirs, folder.file("state.new"));
  CHECK_FALSE(base::replace_file(folder.file("state"), "ours").ok());
  CHECK(base::content_of(theirs).value() == "theirs");
}

TEST_CASE("what can't be written whole leaves the file as it was") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("log");
  std::ofstream(file) << "one\n";
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{1000, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const base::Status appended = base::append_to_file(file, std::string(2000, 'x'));
  const base::Status replaced = base::replace_file(file, std::string(2000, 'x'));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, before);
  REQUIRE_FALSE(appended.ok());
  CHECK(appended.error().code() == ErrorCode::io);
  CHECK(appended.error().message().find(file) != std::string::npos);
  CHECK_FALSE(replaced.ok());
  CHECK(base::content_of(file).value() == "one\n");
  CHECK_FALSE(std::filesystem::exists(file + ".new"));
}

TEST_CASE("what can't be read says why and names the file") {
  const test::TemporaryFolder folder;
  CHECK(base::content_of(folder.file("nothing")).error().code() == ErrorCode::not_found);
  CHECK(base::content_if_any(folder.file("nothing")).empty());
  const auto read = base::content_of(folder.path());
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().code() == ErrorCode::io);
  CHECK(read.error().message().find(folder.path()) != std::string::npos);
}
