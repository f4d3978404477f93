#include <cmath>
#include <cstdlib>
#include <utility>

#include "config/checks.hpp"
#include "config/overlay.hpp"
#include "config/sha256.hpp"
#include "config/tables.hpp"
#include "config/yaml_text.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

DeviceConfig to_device(DeviceText text) {
  DeviceConfig out = std::move(text.config);
  for (RegisterText& entry : text.registers) {
    out.driver.registers.push_back(std::move(entry.settings));
    out.registers.push_back(std::move(entry.options));
  }
  return out;
}

TwinConfig to_twin(TwinText text) {
  TwinConfig out;
  TwinText setup = text;
  setup.publish = {};
  out.hash = sha256(to_yaml(twin_table().write(setup)));
  out.name = std::move(text.name);
  out.period = text.period.value_or(base::Duration{});
  out.diagnosis_is_default = !text.model.has_diagnosis && !text.diagnosis_at.given();
  out.model = std::move(text.model.settings);
  out.publish = text.publish;
  out.late = text.late;
  out.diagnosis = text.diagnosis;
  for (RegimeText& regime : text.regimes) out.regimes.push_back(std::move(regime.settings));
  for (const InputText& input : text.inputs) out.inputs.push_back(input.source);
  for (const OutputText& output : text.outputs) out.outputs.push_back(output.source);
  return out;
}

// Of a model that stands alone; stays zero after an error.
void model_period(Reader& reader, const model::ModelSettings& model, const std::optional<base::Duration>& sample_time,
                  base::Duration& out) {
  const auto own = model.sample_time ? std::optional{base::Duration{std::llround(*model.sample_time * 1e9)}}
                                     : std::optional<base::Duration>{};
  if (model.time == model::TimeBase::continuous) {
    if (!sample_time && !own) {
      reader.error("model.sample_time", "missing: a continuous model has no step of its own",
                   "sample_time in seconds, or --sample-time");
      return;
    }
    out = sample_time ? *sample_time : *own;
  } else if (own && sample_time && std::abs((*own - *sample_time).count()) > 1) {
    reader.error("model.sample_time",
                 base::format_duration(*own) + " differs from --sample-time " + base::format_duration(*sample_time),
                 "no --sample-time for a discrete model, or the same");
  } else if (own) {
    out = *own;
  }
}

Json tree_of(const Node& node) {
  switch (node.kind) {
    case NodeKind::mapping: {
      Json out = Json::object();
      for (const Entry& entry : node.entries) out[entry.key] = tree_of(entry.value);
      return out;
    }
    case NodeKind::sequence: {
      Json out = Json::array();
      for (const Node& item : node.items) out.push_back(tree_of(item));
      return out;
    }
    case NodeKind::scalar: break;
    default: return nullptr;
  }
  if (resolve(node) == ScalarType::text) return node.text;
  Json value = Json::parse(node.text, nullptr, false);
  return value.is_discarded() ? Json(node.text) : value;
}

Config to_config(Reader& reader, ConfigText text) {
  for (TwinText& twin : text.twins) {
    twin.model.settings.hash = sha256(to_yaml(model_table().write(twin.model.settings)));
  }
  Config out;
  out.expanded = to_yaml(configuration_table().write(text));
  out.hash = sha256(out.expanded);
  ConfigText plant = text;
  plant.gateway = {};
  plant.uplink.reset();
  plant.spool = {};
  plant.commands = {};
  out.plant_hash = sha256(to_yaml(configuration_table().write(plant)));
  out.gateway = std::move(text.gateway);
  for (DeviceText& device : text.devices) out.devices.push_back(to_device(std::move(device)));
  for (TwinText& twin : text.twins) out.twins.push_back(to_twin(std::move(twin)));
  if (text.uplink) out.uplink = std::move(text.uplink->settings);
  out.spool = std::move(text.spool);
  out.commands = std::move(text.commands);
  out.warnings = reader.take_warnings();
  out.sources = reader.sources();
  out.texts = reader.take_texts();
  return out;
}

}  // namespace

Loaded load(const std::string& file, const LoadOptions& options) {
  Reader reader(options.environment, options.replaced);
  const auto root = reader.open(file, nullptr);
  if (!root) return reader.take_errors();
  std::optional<Overlay> overlay = lay_over(reader, options);
  ConfigText text;
  configuration_table().read(reader, *root, text);
  resolve_devices(reader, text, options);
  const Tags tags = number_tags(text);
  resolve_commands(reader, text);
  resolve_twins(reader, text, tags, options);
  resolve_uplink(reader, text, options.check_files);
  if (reader.errors() > 0) return reader.take_errors();
  Config config = to_config(reader, std::move(text));
  config.overlay = std::move(overlay);
  if (config.overlay) {
    config.warnings.push_back(
        {config.overlay->file, 0, 0, "", "is laid over the configuration file", "", false, false});
  }
  return config;
}

std::variant<ModelFile, std::vector<Diagnostic>> load_model(const std::string& file,
                                                            std::optional<base::Duration> sample_time,
                                                            const LoadOptions& options) {
  Reader reader(options.environment, options.replaced);
  const auto root = reader.open(file, nullptr, model_file_table().accepted());
  if (!root) return reader.take_errors();
  ModelText text = read_model(reader, root->as("model"));
  ModelFile out;
  out.diagnosis = text.diagnosis;
  out.has_diagnosis = text.has_diagnosis;
  if (options.diagnosis_file) {
    out.has_diagnosis = overlay_diagnosis(reader, *options.diagnosis_file, out.diagnosis) || out.has_diagnosis;
  }
  if (text.good) {
    model_period(reader, text.settings, sample_time, out.period);
    if (out.period > base::Duration::zero()) {
      check_calibration(reader, "model.diagnosis", out.diagnosis, out.period, names_of_outputs(text.settings));
    }
    if (options.examine_model && out.period > base::Duration::zero()) {
      for (const auto& issue : options.examine_model(text.settings, out.period)) {
        reader.error(issue.path, issue.what, issue.accepted);
      }
    }
  }
  if (reader.errors() > 0) return reader.take_errors();
  if (const Entry* provenance = find(*root->node, "provenance")) out.provenance = tree_of(provenance->value).dump();
  out.model = std::move(text.settings);
  out.model.hash = sha256(to_yaml(model_table().write(out.model)));
  out.model.file = file;
  out.warnings = reader.take_warnings();
  return out;
}

}  // namespace twinkeeper::config
