// Damaged configurations: whatever the bytes are, load() returns, and a refusal always has a text and a file.
#include <fstream>
#include <iterator>
#include <random>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;

TEST_CASE("load survives seeded damage to a configuration and to its model") {
  const std::string examples = std::string(TWINKEEPER_SOURCE_DIR) + "/tests/unit/config/examples";
  const TemporaryFolder folder;
  std::filesystem::copy(examples, folder.path(), std::filesystem::copy_options::recursive);
  static constexpr std::string_view kBytes = "\n\t :-{}[]\"'#&*!|>%@`,?0123456789.eE+xyz~\x01\xff$";
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  for (const char* name : {"full.yaml", "models/two_tank.yaml"}) {
    std::ifstream stream(examples + "/" + name, std::ios::binary);
    const std::string original{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    for (int round = 0; round < 300; ++round) {
      std::string text = original;
      for (std::size_t edit = 0; edit <= below(4); ++edit) {
        const std::size_t at = below(text.size());
        switch (below(4)) {
          case 0: text[at] = kBytes[below(kBytes.size())]; break;
          case 1: text.insert(at, 1, kBytes[below(kBytes.size())]); break;
          case 2: text.erase(at, 1 + below(20)); break;
          default: text.insert(at, text.substr(below(text.size()), below(60))); break;
        }
      }
      folder.write(name, text);
      const auto result = config::load((folder.path() / "full.yaml").string(), {false, {}});
      if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&result)) {
        REQUIRE_FALSE(faults->empty());
        for (const auto& fault : *faults) {
          CHECK_FALSE(fault.file.empty());
          CHECK_FALSE(fault.what.empty());
        }
      }
    }
    folder.write(name, original);
  }
}
