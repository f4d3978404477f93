#include "app/last_good.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;

namespace {

void put_text(const std::string& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

constexpr base::WallTime kKeptAt{std::chrono::seconds{1'700'000'000}};

}  // namespace

TEST_CASE("the files of the configuration that ran last are kept as one and read back") {
  const test::TemporaryFolder folder;
  const std::string main = folder.file("twinkeeper.yaml"), model = folder.file("a.yaml");
  const std::map<std::string, std::string> texts{{main, "gateway: {id: a}\n# \xff\n"}, {model, std::string("x\0y", 3)}};
  REQUIRE(app::keep_last_good(folder.path(), main, texts, kKeptAt).ok());
  struct stat status {};
  REQUIRE(::stat(app::last_good_file(folder.path()).c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  const auto kept = app::read_last_good(folder.path());
  REQUIRE(kept.ok());
  CHECK(kept.value().config_file == main);
  CHECK(kept.value().files == texts);
  CHECK(kept.value().since == kKeptAt);

  // The same again touches nothing, others take its place.
  REQUIRE(app::keep_last_good(folder.path(), main, texts, kKeptAt + std::chrono::hours{1}).ok());
  CHECK(app::read_last_good(folder.path()).value().since == kKeptAt);
  REQUIRE(app::keep_last_good(folder.path(), main, {{main, "other"}}, kKeptAt + std::chrono::hours{1}).ok());
  CHECK(app::read_last_good(folder.path()).value().files == std::map<std::string, std::string>{{main, "other"}});
}

TEST_CASE("what is not whole is not put back") {
  const test::TemporaryFolder folder;
  CHECK(app::read_last_good(folder.path()).error().code() == base::ErrorCode::not_found);
  const std::string main = folder.file("twinkeeper.yaml");
  REQUIRE(app::keep_last_good(folder.path(), main, {{main, "gateway: {id: a}\n"}}, kKeptAt).ok());
  const std::string file = app::last_good_file(folder.path());
  const auto size = std::filesystem::file_size(file);
  const auto damaged = [&] { return app::read_last_good(folder.path()).error().code() == base::ErrorCode::corrupt; };
  std::filesystem::resize_file(file, size - 1);
  CHECK(damaged());
  std::filesystem::resize_file(file, size + 1);
  CHECK(damaged());
  put_text(file, "{\"schema\":\"twinkeeper.last-good/1\"}\n");
  CHECK(damaged());
  put_text(file, "");
  CHECK(damaged());
}

TEST_CASE("what is kept is found by a configuration that cannot be read, and only for that file") {
  const test::TemporaryFolder folder;
  const std::string main = folder.file("twinkeeper.yaml");
  const std::string state = folder.file("state");
  std::filesystem::create_directory(state);
  REQUIRE(app::keep_last_good(state, main, {{main, "good"}}, kKeptAt).ok());
  for (const char* broken :
       {"gateway: {id: a, state_directory: state}\n]", "gateway:\n  state_directory: \"state\" # here\n",
        "gateway:\n  state_directory: state  \n  id: [\n"}) {
    put_text(main, broken);
    const auto found = app::find_last_good(main, app::likely_state_directories(main));
    REQUIRE(found);
    CHECK(found->kept.files.at(main) == "good");
    CHECK(app::changed_since(found->kept) == std::vector<std::string>{main});
  }
  put_text(main, "good");
  CHECK(app::changed_since(app::find_last_good(main, {state})->kept).empty());
  CHECK_FALSE(app::find_last_good(folder.file("other.yaml"), {state}));
}
