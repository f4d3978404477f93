// The file of a backup: as any tar reads it, and refused as soon as one byte is another.
#include "app/backup_archive.hpp"

#include <sys/stat.h>

#include <fstream>

#include "app/backup_places.hpp"
#include "base/durable_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;

constexpr base::WallTime kBackupTime{std::chrono::seconds{1'772'000'000}};

struct ArchiveRig {
  std::string written(const std::vector<app::ArchiveMember>& members) const {
    REQUIRE(app::write_archive(folder.file("b.tar"), members, kBackupTime).ok());
    return base::content_of(folder.file("b.tar")).value();
  }
  test::TemporaryFolder folder;
};

std::string what_is_wrong(const std::string& archive) {
  const auto read = app::read_archive(archive);
  return read.ok() ? "" : read.error().message();
}

}  // namespace

TEST_CASE("an archive is read as it was written, by its owner alone, and by tar and sha256sum") {
  const ArchiveRig rig;
  const std::string large(3000, 'x');
  const std::string long_name = "config/" + std::string(90, 'a') + "/" + std::string(95, 'b') + ".yaml";
  const std::string archive = rig.written({{"manifest.json", "{}"}, {"state/empty", ""}, {long_name, large}});
  CHECK(archive.size() % 512 == 0);
  struct stat status {};
  REQUIRE(::stat(rig.folder.file("b.tar").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(::access(rig.folder.file("b.tar.new").c_str(), F_OK) != 0);
  const auto mapped = app::MappedFile::open(rig.folder.file("b.tar"));
  REQUIRE(mapped.ok());
  const auto read = app::read_archive(mapped.value().content());
  REQUIRE(read.ok());
  REQUIRE(read.value().size() == 3);
  CHECK(read.value()[0].name == "manifest.json");
  CHECK(read.value()[1].content.empty());
  CHECK(read.value()[2].name == long_name);
  CHECK(read.value()[2].content == large);
  const std::string unpack = "cd " + rig.folder.path() + " && tar -xf b.tar && sha256sum --quiet -c SHA256SUMS";
  CHECK(std::system(unpack.c_str()) == 0);
}

TEST_CASE("an archive with any byte changed, or cut short anywhere, is refused") {
  const ArchiveRig rig;
  const std::string archive = rig.written({{"manifest.json", "{\"a\": 1}"}, {"state/alarms.json", "[]"}});
  REQUIRE(what_is_wrong(archive).empty());
  for (std::size_t i = 0; i < archive.size(); ++i) {
    std::string changed = archive;
    changed[i] = static_cast<char>(changed[i] ^ 0x01);
    CHECK_FALSE(what_is_wrong(changed).empty());
  }
  for (std::size_t size = 0; size < archive.size(); size += 100) {
    CHECK_FALSE(what_is_wrong(archive.substr(0, size)).empty());
  }
  CHECK_FALSE(what_is_wrong(archive + std::string(512, 'x')).empty());
}

TEST_CASE("an archive whose names lead elsewhere is refused although its checksums are right") {
  const ArchiveRig rig;
  for (const char* name : {"../x", "/etc/x", "state/../../x", "state//x", "state/./x", "state/", "a\nb", ".."}) {
    INFO(name);
    CHECK(what_is_wrong(rig.written({{"manifest.json", ""}, {name, "x"}})).starts_with("has a file of the name"));
  }
  CHECK(what_is_wrong(rig.written({{"a", "x"}, {"a", "y"}})) == "has a file of the name a");
  CHECK(app::write_archive(rig.folder.file("b.tar"), {{std::string(300, 'a'), "x"}}, kBackupTime).error().code() ==
        base::ErrorCode::invalid_argument);
}

TEST_CASE("the places of a backup's files are below two folders, and no link leads out of them") {
  const test::TemporaryFolder folder;
  const std::string root = std::filesystem::canonical(folder.path()).string();
  std::filesystem::create_directories(root + "/etc/models");
  std::filesystem::create_directories(root + "/lib/checkpoints");
  std::filesystem::create_directory_symlink("/tmp", root + "/etc/away");
  std::filesystem::create_symlink("/etc/passwd", root + "/lib/alarms.json");
  const app::BackupPlaces places(root + "/etc/twin.yaml", root + "/lib");
  CHECK(places.config_file() == root + "/etc/twin.yaml");
  CHECK(places.name_of(root + "/etc/models/../models/a.yaml") == "config/models/a.yaml");
  CHECK(places.name_of(root + "/lib/checkpoints/a.checkpoint") == "state/checkpoints/a.checkpoint");
  CHECK_FALSE(places.name_of(root + "/etc/away/a.yaml"));
  CHECK_FALSE(places.name_of(root + "/etcetera/a.yaml"));
  CHECK(places.file_of("config/models/new.yaml") == root + "/etc/models/new.yaml");
  CHECK(places.file_of("state/last_good") == root + "/lib/last_good");
  CHECK_FALSE(places.file_of("config/away/a.yaml"));
  CHECK_FALSE(places.file_of("state/alarms.json"));
  CHECK_FALSE(places.file_of("elsewhere/a"));
}
