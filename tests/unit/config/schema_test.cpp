#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

std::string committed(const std::string& name) {
  std::ifstream stream(std::string(TWINKEEPER_SOURCE_DIR) + "/config/schema/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void check_objects_are_closed(const nlohmann::json& schema) {
  if (schema.is_object() && schema.contains("properties")) CHECK(schema.at("additionalProperties") == false);
  if (schema.is_structured()) {
    for (const auto& item : schema) check_objects_are_closed(item);
  }
}

}  // namespace

TEST_CASE("the committed JSON Schemas are those of the tables (else build the target update_schemas)") {
  CHECK(committed("twinkeeper.schema.json") == config::configuration_schema());
  CHECK(committed("model.schema.json") == config::model_schema());
}

TEST_CASE("every mapping of the JSON Schemas with fixed keys is closed") {
  check_objects_are_closed(nlohmann::json::parse(config::configuration_schema()));
  check_objects_are_closed(nlohmann::json::parse(config::model_schema()));
}

TEST_CASE("the JSON Schema names defaults and required keys as the reader has them") {
  const auto schema = nlohmann::json::parse(config::configuration_schema());
  const auto& device = schema.at("properties").at("devices").at("items");
  CHECK(device.at("properties").at("timeout").at("default") == "1s");
  CHECK(device.at("required") == nlohmann::json({"name", "poll_interval", "registers"}));
  CHECK(schema.at("properties").at("spool").at("properties").at("max_bytes").at("default") == "256MiB");
}
