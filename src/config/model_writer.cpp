#include "config/model_writer.hpp"

#include "config/tables.hpp"
#include "config/yaml_text.hpp"

namespace twinkeeper::config {

std::string model_file_text(const model::ModelSettings& model, const Json& diagnosis, const Json& provenance) {
  Json document;
  document["model"] = model_table().write(model);
  if (!diagnosis.is_null()) document["diagnosis"] = diagnosis;
  if (!provenance.is_null()) document["provenance"] = provenance;
  return to_yaml(document);
}

}  // namespace twinkeeper::config
