#include <utility>

#include "config/checks.hpp"
#include "config/yaml_text.hpp"

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
  out.name = std::move(text.name);
  out.period = text.period.value_or(base::Duration{});
  out.diagnosis_is_default = !text.model.has_diagnosis && !text.diagnosis_at.given();
  out.model = std::move(text.model.settings);
  out.publish = text.publish;
  out.diagnosis = text.diagnosis;
  for (const InputText& input : text.inputs) out.inputs.push_back(input.source);
  for (const OutputText& output : text.outputs) out.outputs.push_back(output.index);
  return out;
}

Config to_config(Reader& reader, ConfigText text) {
  for (TwinText& twin : text.twins) {
    twin.model.settings.hash = sha256(to_yaml(model_table().write(twin.model.settings)));
  }
  Config out;
  out.expanded = to_yaml(configuration_table().write(text));
  out.hash = sha256(out.expanded);
  out.gateway = std::move(text.gateway);
  for (DeviceText& device : text.devices) out.devices.push_back(to_device(std::move(device)));
  for (TwinText& twin : text.twins) out.twins.push_back(to_twin(std::move(twin)));
  if (text.uplink) out.uplink = std::move(text.uplink->settings);
  out.spool = std::move(text.spool);
  out.commands = std::move(text.commands);
  if (out.uplink && out.commands.enabled) out.uplink->command_verbs = out.commands.allow;
  out.warnings = reader.take_warnings();
  out.sources = reader.sources();
  return out;
}

}  // namespace

Loaded load(const std::string& file, const LoadOptions& options) {
  Reader reader(options.environment);
  const auto root = reader.open(file, nullptr);
  if (!root) return reader.take_errors();
  ConfigText text;
  configuration_table().read(reader, *root, text);
  resolve_devices(reader, text, options);
  const Tags tags = number_tags(text);
  resolve_commands(reader, text);
  resolve_twins(reader, text, tags, options);
  resolve_uplink(reader, text, options.check_files);
  if (reader.errors() > 0) return reader.take_errors();
  return to_config(reader, std::move(text));
}

}  // namespace twinkeeper::config
