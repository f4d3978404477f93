#include "app/descriptions.hpp"

#include <algorithm>

#include "drivers/names.hpp"

namespace twinkeeper::app {
namespace {

template <class Setting>
std::string name_of(Setting setting) {
  return std::string{drivers::to_string(setting)};
}

telemetry::SignalDescription describe(const model::Signal& signal) {
  return {signal.name, signal.unit, signal.limits.min, signal.limits.max, signal.valid.min, signal.valid.max};
}

}  // namespace

telemetry::DeviceDescription describe_device(const config::DeviceConfig& device) {
  telemetry::DeviceDescription description;
  description.name = device.driver.name;
  description.controller = device.driver.controller;
  description.transmission_mode = name_of(device.driver.transmission_mode);
  const bool lines = device.driver.transmission_mode == drivers::TransmissionMode::LINE;
  description.slave_id = lines ? std::nullopt : std::optional(device.driver.slave_id);
  description.poll_interval = device.driver.poll_interval;
  description.publish_interval = device.publish.interval;
  for (std::size_t r = 0; r < device.driver.registers.size(); ++r) {
    const auto& reg = device.driver.registers[r];
    const auto& options = device.registers[r];
    description.registers.push_back({reg.name, reg.unit, lines ? "" : name_of(reg.kind), reg.address, name_of(reg.type),
                                     lines ? "" : name_of(reg.byte_order), reg.bit, reg.bits, reg.length, reg.scale,
                                     reg.offset, reg.scaled, options.validation.min_value, options.validation.max_value,
                                     options.validation.max_rate, options.publish, reg.group});
  }
  return description;
}

std::vector<telemetry::TagSource> describe_tags(const config::Config& config) {
  std::vector<telemetry::TagSource> sources;
  for (const auto& device : config.devices) {
    for (const auto& reg : device.driver.registers) {
      sources.push_back({device.driver.name + "." + reg.name, device.driver.name, device.driver.controller,
                         device.driver.slave_id, name_of(reg.kind), reg.address, reg.group});
    }
  }
  return sources;
}

std::vector<telemetry::TwinDescription::RegimeLimits> limits_of_regimes(const config::TwinConfig& twin) {
  const auto& known = twin.diagnosis.calibration;
  std::vector<telemetry::TwinDescription::RegimeLimits> limits;
  const auto limits_of = [&](const std::string& regime) {
    const bool found =
        std::any_of(known.regimes.begin(), known.regimes.end(), [&](const auto& one) { return one.name == regime; });
    limits.push_back({regime, known.given() && found});
  };
  for (const auto& regime : twin.regimes) limits_of(regime.name);
  if (twin.regimes.empty()) limits_of(diagnosis::kWholeLog);
  return limits;
}

telemetry::TwinDescription describe_twin(const Plan& plan, std::size_t twin) {
  const auto& settings = plan.config.twins[twin];
  const auto& model = plan.models[twin];
  const auto sources = describe_tags(plan.config);
  telemetry::TwinDescription description;
  for (const auto& regime : plan.config.twins[twin].regimes) description.regimes.push_back(regime.name);
  description.limits = limits_of_regimes(settings);
  description.name = settings.name;
  description.period = settings.period;
  description.state_interval = settings.publish.state_interval;
  description.layout = settings.publish.layout;
  description.model = {model.name, model.version, model.hash};
  for (const auto& state : model.states) description.states.push_back(describe(state));
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const auto& source = settings.inputs[i];
    if (source.tag) {
      description.inputs.push_back({describe(model.inputs[i]), sources[*source.tag], std::nullopt});
    } else {
      description.inputs.push_back({describe(model.inputs[i]), std::nullopt, source.constant});
    }
  }
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    const auto& tag = settings.outputs[i].tag;
    description.outputs.push_back({describe(model.outputs[i]), tag ? std::optional(sources[*tag]) : std::nullopt});
  }
  return description;
}

telemetry::AdditionalMetrics additional_metrics(const drivers::DeviceStatistics& statistics) {
  using drivers::DeviceError;
  const auto load = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  telemetry::AdditionalMetrics metrics{
      {"last_round_trip_seconds", 1e-9 * static_cast<double>(load(statistics.last_round_trip_ns))},
      {"cycles_total", load(statistics.cycles_total)},
      {"missed_cycles_total", load(statistics.missed_cycles_total)},
      {"exceptions_total", load(statistics.exceptions_total)},
      {"no_answers_total", statistics.failures(DeviceError::no_answer)},
      {"unavailable_total", statistics.failures(DeviceError::unavailable)},
      {"closed_total", statistics.failures(DeviceError::closed)},
      {"mismatches_total", statistics.failures(DeviceError::mismatch)},
      {"splits_total", load(statistics.splits_total)},
      {"refused_registers", load(statistics.refused_registers)}};
  std::string suggestion = statistics.suggested_configuration.get();
  if (suggestion.size() > kLongestSuggestion) suggestion.replace(kLongestSuggestion - 3, std::string::npos, "...");
  if (!suggestion.empty()) metrics.emplace_back("suggested_configuration", std::move(suggestion));
  return metrics;
}

}  // namespace twinkeeper::app
