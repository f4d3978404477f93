#include "app/plan.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "app/exit_codes.hpp"
#include "drivers/line_pattern.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {

std::size_t Plan::tag_count() const {
  std::size_t count = 0;
  for (const auto& device : config.devices) count += device.driver.registers.size();
  return count;
}

std::int64_t steps_per_state(const config::TwinConfig& twin) {
  const double ratio =
      static_cast<double>(twin.publish.state_interval.count()) / static_cast<double>(twin.period.count());
  return std::max<std::int64_t>(1, std::llround(ratio));
}

Watermark watermark_of(const config::TwinConfig& twin) {
  const auto ticks = [&](base::Duration time) { return (time + twin.period - base::Duration{1}) / twin.period; };
  Watermark mark;
  mark.lateness = ticks(twin.late.lateness);
  const std::int64_t usual = std::min(acquisition::kUsualHistory, ticks(acquisition::kLongestUsualHistory));
  mark.history = std::max(mark.lateness, twin.late.history ? ticks(*twin.late.history) : usual);
  return mark;
}

std::vector<TagOrigin> tag_origins(const config::Config& config) {
  std::vector<TagOrigin> origins;
  for (std::size_t d = 0; d < config.devices.size(); ++d) {
    for (std::size_t r = 0; r < config.devices[d].driver.registers.size(); ++r) origins.push_back({d, r});
  }
  return origins;
}

std::vector<std::string> tag_names(const config::Config& config) {
  std::vector<std::string> names;
  for (const auto& device : config.devices) {
    for (const auto& reg : device.driver.registers) names.push_back(device.driver.name + "." + reg.name);
  }
  return names;
}

std::variant<std::vector<estimation::Twin>, base::Issues> make_twins(const Plan& plan) {
  std::vector<estimation::Twin> twins;
  base::Issues faults;
  const auto origins = tag_origins(plan.config);
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& config = plan.config.twins[i];
    estimation::TwinSettings settings;
    settings.gate = config.diagnosis.gate;
    settings.gate_timeout = config.diagnosis.gate_timeout;
    settings.period = config.period;
    settings.history = static_cast<std::size_t>(watermark_of(config).history);
    for (const auto& output : config.outputs) {
      settings.mapped.push_back(output.tag.has_value());
      settings.averages = settings.averages || output.combine == acquisition::Combine::mean;
      settings.intervals.push_back(config.period);
      if (output.tag) {
        const auto& origin = origins[*output.tag];
        settings.intervals.back() = plan.config.devices[origin.device].driver.registers[origin.reg].poll_interval;
      }
    }
    auto created = estimation::Twin::create(plan.models[i], std::move(settings));
    if (auto* twin = std::get_if<estimation::Twin>(&created)) {
      twins.push_back(std::move(*twin));
      continue;
    }
    for (auto& issue : std::get<base::Issues>(created)) {
      issue.path = "twins[" + std::to_string(i) + "]." + issue.path;
      faults.push_back(std::move(issue));
    }
  }
  if (!faults.empty()) return faults;
  return twins;
}

namespace {

model::Built build(const model::ModelSettings& model, base::Duration period,
                   const std::vector<double>& dead_times_s = {}) {
  return model::build(model, std::chrono::duration<double>(period).count(), dead_times_s);
}

base::Issues examine(const model::ModelSettings& model, base::Duration period) {
  auto built = build(model, period);
  auto* issues = std::get_if<base::Issues>(&built);
  return issues != nullptr ? std::move(*issues) : base::Issues{};
}

}  // namespace

std::variant<config::ModelFile, Faults> load_model_file(const std::string& file,
                                                        std::optional<base::Duration> sample_time,
                                                        config::LoadOptions options) {
  options.examine_model = examine;
  return config::load_model(file, sample_time, options);
}

Plan plan_of_model(const config::ModelFile& file, const std::vector<std::string>& columns) {
  Plan plan;
  config::DeviceConfig device;
  device.driver.name = "log";
  device.driver.poll_interval = file.period;
  config::TwinConfig twin;
  twin.name = file.model.name;
  twin.period = file.period;
  twin.model = file.model;
  twin.diagnosis = file.diagnosis;
  std::map<std::string, signals::TagIndex> tags;
  const auto tag_of = [&](const std::string& name, const std::string& unit) {
    const auto [known, is_new] = tags.emplace(name, static_cast<signals::TagIndex>(tags.size()));
    if (!is_new) return known->second;
    drivers::RegisterSettings reg;
    reg.name = name;
    reg.unit = unit;
    reg.tag = known->second;
    reg.type = drivers::ValueType::FLOAT64;
    reg.poll_interval = file.period;
    config::RegisterOptions options;
    options.validation.max_age = 3 * file.period;
    if (!file.has_diagnosis) options.validation.stuck_rule = acquisition::StuckRule::off;
    device.driver.registers.push_back(std::move(reg));
    device.registers.push_back(std::move(options));
    return known->second;
  };
  for (const auto& input : file.model.inputs) {
    acquisition::InputSource source;
    source.tag = tag_of(input.name, input.unit);
    twin.inputs.push_back(source);
  }
  for (const auto& output : file.model.outputs) {
    const bool there = std::find(columns.begin(), columns.end(), output.name) != columns.end();
    twin.outputs.push_back({there ? std::optional{tag_of(output.name, output.unit)} : std::nullopt});
  }
  if (!file.has_diagnosis) {
    twin.diagnosis.gate.reset();
    twin.diagnosis.cusum.enabled = twin.diagnosis.slow_drift.enabled = false;
    twin.diagnosis.nis.enabled = twin.diagnosis.noise.enabled = twin.diagnosis.isolation.enabled = false;
  }
  plan.models.push_back(std::get<model::StateSpace>(build(file.model, file.period)));
  plan.config.devices.push_back(std::move(device));
  plan.config.twins.push_back(std::move(twin));
  return plan;
}

void rebuild_model(Plan& plan, std::size_t twin) {
  const config::TwinConfig& config = plan.config.twins[twin];
  std::vector<double> dead_times;
  for (const auto& input : config.inputs) dead_times.push_back(std::chrono::duration<double>(input.delay).count());
  plan.models[twin] = std::get<model::StateSpace>(build(config.model, config.period, dead_times));
}

namespace {

std::variant<Plan, Faults> make_plan_once(const std::string& file, const config::LoadOptions& options) {
  auto loaded = config::load(file, options);
  if (auto* faults = std::get_if<Faults>(&loaded)) return std::move(*faults);
  Plan plan{std::move(std::get<config::Config>(loaded)), {}};
  // Once more, as only a whole configuration knows the hash of its models.
  plan.models.resize(plan.config.twins.size());
  for (std::size_t i = 0; i < plan.models.size(); ++i) rebuild_model(plan, i);
  const auto twins = make_twins(plan);
  if (const auto* issues = std::get_if<base::Issues>(&twins)) {
    Faults faults;
    for (const auto& issue : *issues) faults.push_back(plan.config.locate(issue));
    return faults;
  }
  return plan;
}

}  // namespace

std::variant<Plan, Faults> make_plan(const std::string& file, config::LoadOptions options) {
  options.examine_model = examine;
  options.examine_line = drivers::examine_line;
  auto made = make_plan_once(file, options);
  if (std::holds_alternative<Plan>(made) || !options.overlay || !options.replaced.empty()) return made;
  options.overlay = false;
  auto bare = make_plan_once(file, options);
  auto* plan = std::get_if<Plan>(&bare);
  if (plan == nullptr) return made;
  for (const auto& fault : std::get<Faults>(made)) {
    plan->config.warnings.push_back(fault);
    plan->config.warnings.back().what += " (the overlay is left out)";
  }
  return bare;
}

int report(const Faults& faults, std::ostream& out) {
  for (const auto& fault : faults) out << fault.text() << '\n';
  if (std::any_of(faults.begin(), faults.end(), [](const auto& f) { return f.no_input; })) return kExitNoInput;
  const bool only_permissions = std::all_of(faults.begin(), faults.end(), [](const auto& f) { return f.permission; });
  return only_permissions ? kExitPermission : kExitConfig;
}

std::variant<Plan, int> load_or_report(const std::string& file, bool check_files,
                                       const std::optional<std::string>& diagnosis_file) {
  config::LoadOptions options;
  options.check_files = check_files;
  options.diagnosis_file = diagnosis_file;
  auto made = make_plan(file, options);
  if (auto* faults = std::get_if<Faults>(&made)) return report(*faults, std::cerr);
  auto& plan = std::get<Plan>(made);
  for (const auto& warning : plan.config.warnings) std::cerr << "warning: " << warning.text() << '\n';
  return std::move(plan);
}

std::variant<config::ModelFile, int> load_model_or_report(const std::string& file,
                                                          const std::optional<std::string>& sample_time,
                                                          const std::optional<std::string>& diagnosis_file) {
  std::optional<base::Duration> step;
  if (sample_time) {
    const auto parsed = base::parse_duration(*sample_time);
    if (!parsed.ok() || parsed.value() <= base::Duration::zero()) {
      std::cerr << "twinkeeper: --sample-time: " << *sample_time << "; accepted: a duration such as 100ms\n";
      return kExitUsage;
    }
    step = parsed.value();
  }
  config::LoadOptions options;
  options.diagnosis_file = diagnosis_file;
  auto loaded = load_model_file(file, step, options);
  if (const auto* faults = std::get_if<Faults>(&loaded)) return report(*faults, std::cerr);
  auto& model = std::get<config::ModelFile>(loaded);
  for (const auto& warning : model.warnings) std::cerr << "warning: " << warning.text() << '\n';
  return std::move(model);
}

}  // namespace twinkeeper::app
