#include "config/tables.hpp"

namespace twinkeeper::config {
namespace {

constexpr const char* kDraft = "http://json-schema.org/draft-07/schema#";

Json substitution() {
  return {{"description", "A value from the environment: ${NAME} or ${NAME:-default}; $${ is a plain ${"},
          {"type", "string"},
          {"pattern", "\\$\\{[A-Za-z0-9_]+(:-[^}]*)?\\}"}};
}

Json titled(const char* title, Json schema, Json definitions) {
  Json out = {{"$schema", kDraft}, {"title", title}};
  for (auto& [name, value] : schema.items()) out[name] = std::move(value);
  out["definitions"] = std::move(definitions);
  return out;
}

}  // namespace

std::string configuration_schema() {
  const Json definitions = {{"substitution", substitution()},
                            {"model", model_table().schema()},
                            {"model_file", model_file_table().schema()},
                            {"diagnosis", diagnosis_table().schema()}};
  return titled("twinkeeper configuration", configuration_table().schema(), definitions).dump(2) + "\n";
}

std::string model_schema() {
  return titled("twinkeeper model file", model_file_table().schema(), {{"substitution", substitution()}}).dump(2) +
         "\n";
}

}  // namespace twinkeeper::config
