#include "app/twin_run.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace twinkeeper::app {
namespace {

double resolution_of(const drivers::RegisterSettings& reg) {
  switch (reg.type) {
    case drivers::ValueType::FLOAT16:
    case drivers::ValueType::FLOAT32:
    case drivers::ValueType::FLOAT64:
    case drivers::ValueType::STRING: return 0.0;
    default: return std::abs(reg.scale);
  }
}

acquisition::SynchroniserSetup synchroniser_setup(const Plan& plan, std::size_t index, base::Instant origin) {
  const auto& twin = plan.config.twins[index];
  const auto& model = plan.models[index];
  const auto origins = tag_origins(plan.config);
  const auto max_age_of = [&](signals::TagIndex tag) {
    return plan.config.devices[origins[tag].device].registers[origins[tag].reg].validation.max_age;
  };
  acquisition::SynchroniserSetup setup;
  setup.origin = origin;
  setup.period = twin.period;
  for (std::size_t u = 0; u < twin.inputs.size(); ++u) {
    acquisition::InputSetup input{twin.inputs[u], model.u_op(static_cast<Eigen::Index>(u))};
    if (input.source.tag && !input.source.max_age) input.source.max_age = max_age_of(*input.source.tag);
    setup.inputs.push_back(input);
  }
  for (const auto& tag : twin.outputs) {
    setup.outputs.push_back({tag, tag ? max_age_of(*tag) : base::Duration::zero()});
  }
  return setup;
}

// `told`: tags whose reasons an earlier twin tells, or this twin by an earlier signal.
diagnosis::TwinDiagnosisSetup diagnosis_setup(const Plan& plan, std::size_t index,
                                              const std::vector<std::string>& names,
                                              std::set<signals::TagIndex>& told) {
  const auto& twin = plan.config.twins[index];
  const auto& model = plan.models[index];
  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = twin.name;
  setup.settings = twin.diagnosis;
  setup.period = twin.period;
  const auto signal = [&](const std::string& name, const std::string& unit,
                          const std::optional<signals::TagIndex>& tag) {
    return diagnosis::SignalSetup{name, unit, tag ? names[*tag] : std::string(), tag && told.insert(*tag).second};
  };
  for (std::size_t y = 0; y < twin.outputs.size(); ++y) {
    setup.outputs.push_back(signal(model.outputs[y].name, model.outputs[y].unit, twin.outputs[y]));
  }
  for (std::size_t u = 0; u < twin.inputs.size(); ++u) {
    setup.inputs.push_back(signal(model.inputs[u].name, model.inputs[u].unit, twin.inputs[u].tag));
  }
  return setup;
}

}  // namespace

std::vector<acquisition::TagRules> tag_rules(const Plan& plan) {
  std::vector<acquisition::TagRules> rules;
  for (const auto& device : plan.config.devices) {
    for (std::size_t r = 0; r < device.registers.size(); ++r) {
      rules.push_back({device.registers[r].validation, device.driver.registers[r].poll_interval, std::nullopt});
    }
  }
  const auto origins = tag_origins(plan.config);
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& twin = plan.config.twins[i];
    const auto& model = plan.models[i];
    for (std::size_t y = 0; y < twin.outputs.size(); ++y) {
      if (!twin.outputs[y] || rules[*twin.outputs[y]].noise) continue;
      const auto& origin = origins[*twin.outputs[y]];
      const auto index = static_cast<Eigen::Index>(y);
      const double given = model.noise_std[y];
      const double coarser = std::isnan(model.resolution[y]) ? 0.0 : model.resolution[y];
      rules[*twin.outputs[y]].noise = acquisition::OutputNoise{
          std::isnan(given) ? std::sqrt(model.R(index, index)) : given,
          std::max(coarser, resolution_of(plan.config.devices[origin.device].driver.registers[origin.reg])),
          twin.period};
    }
  }
  return rules;
}

std::vector<std::vector<std::size_t>> users_of_tags(const Plan& plan) {
  std::vector<std::vector<std::size_t>> users(plan.tag_count());
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto use = [&](const std::optional<signals::TagIndex>& tag) {
      if (tag && (users[*tag].empty() || users[*tag].back() != i)) users[*tag].push_back(i);
    };
    for (const auto& input : plan.config.twins[i].inputs) use(input.tag);
    for (const auto& output : plan.config.twins[i].outputs) use(output);
    for (const auto& regime : plan.config.twins[i].regimes) {
      for (const auto& part : regime.when) use(part.tag);  // of a joining part it is 0 and does no harm
    }
  }
  return users;
}

TwinRun::TwinRun(estimation::Twin twin, acquisition::FrameSynchroniser synchroniser, diagnosis::TwinDiagnosis diagnosis,
                 std::vector<std::string> regimes, acquisition::RegimeSelector selector)
    : twin_(std::move(twin)),
      synchroniser_(std::move(synchroniser)),
      diagnosis_(std::move(diagnosis)),
      regimes_(std::move(regimes)),
      selector_(std::move(selector)),
      step_(twin_.make_record()),
      consistency_(step_.outputs.size()) {}

const estimation::TwinStep& TwinRun::step(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies) {
  twin_.step(synchroniser_.close(tick), step_);
  if (!regimes_.empty()) {
    const acquisition::SelectedRegime regime = selector_.at(tick);
    step_.regime = regime.index;
    step_.tests_held = step_.tests_held || !regime.settled;
  }
  consistency_.take(step_);
  const std::size_t told = anomalies.size();
  diagnosis_.evaluate(step_, anomalies);
  for (std::size_t i = told; i < anomalies.size(); ++i) anomalies[i].regime = regime();
  return step_;
}

std::vector<TwinRun> make_twin_runs(const Plan& plan, std::vector<estimation::Twin> twins, base::Instant origin) {
  std::vector<TwinRun> runs;
  const auto names = tag_names(plan.config);
  std::set<signals::TagIndex> told;
  std::vector<base::Duration> max_ages;
  for (const auto& device : plan.config.devices) {
    for (const auto& reg : device.registers) max_ages.push_back(reg.validation.max_age);
  }
  for (std::size_t i = 0; i < twins.size(); ++i) {
    const config::TwinConfig& twin = plan.config.twins[i];
    std::vector<std::string> regimes;
    for (const auto& regime : twin.regimes) regimes.push_back(regime.name);
    runs.emplace_back(std::move(twins[i]),
                      acquisition::FrameSynchroniser(synchroniser_setup(plan, i, origin), plan.tag_count()),
                      diagnosis::TwinDiagnosis(diagnosis_setup(plan, i, names, told)), std::move(regimes),
                      acquisition::RegimeSelector(twin.regimes, origin, twin.period, max_ages));
  }
  return runs;
}

}  // namespace twinkeeper::app
