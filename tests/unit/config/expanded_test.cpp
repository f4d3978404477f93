// The expanded text: itself a configuration, with the same meaning.
#include <filesystem>

#include "config/config.hpp"
#include "config/sha256.hpp"
#include "config/yaml_text.hpp"
#include "support/catch.hpp"
#include "temporary_folder.hpp"

using namespace twinkeeper;

namespace {

const std::string kFull = std::string(TWINKEEPER_SOURCE_DIR) + "/tests/unit/config/examples/full.yaml";

config::Config loaded_file(const std::string& file) {
  auto result = config::load(file, {false, {}});
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&result)) {
    for (const auto& fault : *faults) UNSCOPED_INFO(fault.text());
  }
  REQUIRE(std::holds_alternative<config::Config>(result));
  return std::get<config::Config>(std::move(result));
}

}  // namespace

TEST_CASE("the expanded text of a configuration loads to the same expanded text and hashes") {
  const config::Config first = loaded_file(kFull);
  const TemporaryFolder folder;
  const config::Config second = loaded_file(folder.write("again.yaml", first.expanded));
  CHECK(second.expanded == first.expanded);
  CHECK(second.hash == first.hash);
  REQUIRE(second.twins.size() == first.twins.size());
  for (std::size_t i = 0; i < first.twins.size(); ++i) CHECK(second.twins[i].model.hash == first.twins[i].model.hash);
}

TEST_CASE("the expanded text of every template's example loads to the same model") {
  const std::string examples = std::string(TWINKEEPER_SOURCE_DIR) + "/docs/models/examples";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(examples)) {
    INFO(entry.path().string());
    const TemporaryFolder folder;
    auto alone = config::load_model(entry.path().string(), std::nullopt, {});
    REQUIRE(std::holds_alternative<config::ModelFile>(alone));
    std::string text =
        "gateway: {id: gw, state_directory: /tmp/x}\ntwins:\n  - name: twin\n    period: 1s\n    model: " +
        entry.path().string() + "\n    inputs: {";
    for (const auto& input : std::get<config::ModelFile>(alone).model.inputs) text += input.name + ": 0, ";
    const config::Config first = loaded_file(folder.write("first.yaml", text + "}\n"));
    const config::Config second = loaded_file(folder.write("again.yaml", first.expanded));
    CHECK(second.expanded == first.expanded);
    CHECK(second.twins[0].model.hash == first.twins[0].model.hash);
    CHECK(second.twins[0].model.parameters.size() == first.twins[0].model.parameters.size());
    ++count;
  }
  CHECK(count >= 7);
}

TEST_CASE("hashes change with a value and not with comments or the order of keys") {
  const TemporaryFolder folder;
  const auto a =
      loaded_file(folder.write("a.yaml", "gateway: {id: gw, state_directory: /tmp/x}\nspool: {max_age: 1d}\n"));
  const auto b = loaded_file(
      folder.write("b.yaml", "# other\nspool:\n  max_age: 24h\ngateway: {state_directory: /tmp/x, id: gw}\n"));
  const auto c =
      loaded_file(folder.write("c.yaml", "gateway: {id: gw, state_directory: /tmp/x}\nspool: {max_age: 2d}\n"));
  CHECK(a.hash == b.hash);
  CHECK(a.hash != c.hash);
}

TEST_CASE("sha256 agrees with the published digest of abc") {
  CHECK(config::sha256("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("to_yaml quotes what would not read back as the same text") {
  const nlohmann::ordered_json tree = {{"a", "off"},  {"b", "12"},
                                       {"c", "x: y"}, {"d", "tcp://h:1"},
                                       {"e", 1e-9},   {"f", nlohmann::ordered_json::array({1, 2.5, "true"})}};
  CHECK(config::to_yaml(tree) ==
        "a: \"off\"\nb: \"12\"\nc: \"x: y\"\nd: tcp://h:1\ne: 1.0e-09\nf: [1, 2.5, \"true\"]\n");
}
