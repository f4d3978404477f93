#include <algorithm>
#include <cmath>

#include "model/augment.hpp"
#include "model/sensor_lag.hpp"
#include "model/templates/list.hpp"
#include "model/templates/parameter_check.hpp"
#include "model/validity.hpp"
#include "model/wording.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/hold.hpp"

namespace twinkeeper::model {
namespace {

std::string element(const char* list, std::size_t index, const char* key) {
  return std::string(list) + "[" + std::to_string(index) + "]." + key;
}

// "kg·m²" and "kg m^2" are "kgm2": products and powers are written in many ways.
std::string plain_unit(const std::string& unit) {
  static constexpr std::pair<std::string_view, std::string_view> kSpellings[] = {
      {" ", ""}, {"·", ""}, {"*", ""}, {"^", ""}, {"²", "2"}, {"³", "3"}, {"Ω", "Ohm"}, {"ohm", "Ohm"}};
  std::string plain = base::canonical_unit(unit);
  for (const auto& [written, meant] : kSpellings) {
    for (std::size_t at = plain.find(written); at != std::string::npos; at = plain.find(written, at + meant.size())) {
      plain.replace(at, written.size(), meant);
    }
  }
  return plain;
}

void complete_parameters(const Template& type, ModelSettings& settings, base::Issues& issues) {
  std::vector<std::string> given;
  for (const auto& parameter : settings.parameters) given.push_back(parameter.name);
  const std::vector<ParameterInfo> infos = type.parameters(given);
  for (const auto& parameter : settings.parameters) {
    const auto known =
        std::find_if(infos.begin(), infos.end(), [&](const auto& i) { return i.name == parameter.name; });
    const std::string path = "parameters." + parameter.name;
    if (known == infos.end()) {
      issues.push_back({path, "unknown parameter of " + type.name, names_of(infos)});
    } else if (!base::units_agree(plain_unit(parameter.unit), plain_unit(known->unit))) {
      issues.push_back({path, "unit \"" + parameter.unit + "\" is not that of " + known->name,
                        accepted_range(*known) + ": " + known->meaning});
    } else if (!within(*known, parameter.value)) {
      issues.push_back(
          {path, print(parameter.value) + " is out of range", accepted_range(*known) + ": " + known->meaning});
    }
  }
  Parameters all;
  for (const auto& info : infos) {
    std::optional<double> value = value_of(settings.parameters, info.name);
    if (!value) value = info.value;
    if (value) {
      all.push_back({info.name, *value, info.unit});
    } else if (!info.optional) {
      issues.push_back({"parameters." + info.name, "missing", accepted_range(info) + ": " + info.meaning});
    }
  }
  settings.parameters = std::move(all);
}

void take_unit(std::string& unit, const SignalInfo& info, const std::string& path, base::Issues& issues) {
  if (unit.empty()) {
    unit = info.unit;
  } else if (!base::units_agree(unit, info.unit)) {
    issues.push_back({path, "\"" + unit + "\" is not the unit of the template's " + info.name, info.unit});
  }
}

template <class Settings>
void take_limits(Settings& settings, const SignalInfo& info) {
  if (!settings.min) settings.min = info.min;
  if (!settings.max) settings.max = info.max;
}
void take_own(StateSettings& state, const SignalInfo& info) { take_limits(state, info); }
void take_own(InputSettings& input, const SignalInfo& info) {
  take_limits(input, info);
  if (!input.nominal) input.nominal = info.nominal;
}

// The template's signals in its order, with what a person said of them.
template <class Settings>
void complete_signals(const char* key, const std::vector<SignalInfo>& infos, std::vector<Settings>& list,
                      base::Issues& issues) {
  std::vector<Settings> all(infos.size());
  std::vector<bool> said(infos.size(), false);
  for (std::size_t i = 0; i < infos.size(); ++i) all[i].name = infos[i].name;
  for (std::size_t k = 0; k < list.size(); ++k) {
    const auto known = std::find_if(infos.begin(), infos.end(), [&](const auto& i) { return i.name == list[k].name; });
    const auto i = static_cast<std::size_t>(known - infos.begin());
    if (known == infos.end()) {
      issues.push_back({element(key, k, "name"), "\"" + list[k].name + "\" is not of the template", names_of(infos)});
    } else if (said[i]) {
      issues.push_back({element(key, k, "name"), "\"" + list[k].name + "\" is listed twice", "names that differ"});
    } else {
      take_unit(list[k].unit, infos[i], element(key, k, "unit"), issues);
      all[i] = std::move(list[k]);
      said[i] = true;
    }
  }
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (!said[i]) all[i].unit = infos[i].unit;
    take_own(all[i], infos[i]);
  }
  list = std::move(all);
}

void complete_outputs(const std::vector<SignalInfo>& infos, std::vector<OutputSettings>& list, base::Issues& issues) {
  if (list.empty()) {
    for (const auto& info : infos) {
      if (!info.optional) list.push_back({info.name, info.unit, {}, {}, {}});
    }
    return;
  }
  for (std::size_t k = 0; k < list.size(); ++k) {
    const auto known = std::find_if(infos.begin(), infos.end(), [&](const auto& i) { return i.name == list[k].name; });
    if (known == infos.end()) {
      issues.push_back(
          {element("outputs", k, "name"), "\"" + list[k].name + "\" is not of the template", names_of(infos)});
      continue;
    }
    take_unit(list[k].unit, *known, element("outputs", k, "unit"), issues);
    if (list[k].nominal) {
      issues.push_back({element("outputs", k, "nominal"), "given, though it follows from the template's equations",
                        "nominal of inputs, or operating_point.x and u"});
    }
  }
}

void refuse_matrices(const ModelSettings& settings, base::Issues& issues) {
  const auto refuse = [&](const char* key, bool given) {
    if (given) issues.push_back({key, "given for a template", "parameters, from which it follows"});
  };
  refuse("A", !settings.A.empty());
  refuse("B", !settings.B.empty());
  refuse("C", !settings.C.empty());
  refuse("D", !settings.D.empty());
  refuse("dx", !settings.dx.empty());
  refuse("operating_point.y", !settings.operating_point.y.empty());
  if (settings.time != TimeBase::continuous) issues.push_back({"time", "a template is continuous", "continuous"});
}

}  // namespace

bool within(const ParameterInfo& info, double value) {
  return std::isfinite(value) && value <= info.most && (info.above_least ? value > info.least : value >= info.least);
}

std::string accepted_range(const ParameterInfo& info) {
  std::string text = "a number";
  if (std::isfinite(info.least)) text += (info.above_least ? " above " : " from ") + print(info.least);
  if (std::isfinite(info.most)) text += " to " + print(info.most);
  return info.unit.empty() ? text : text + " in " + info.unit;
}

std::optional<double> value_of(const Parameters& parameters, std::string_view name) {
  for (const auto& parameter : parameters) {
    if (parameter.name == name) return parameter.value;
  }
  return std::nullopt;
}

const std::vector<const Template*>& templates() {
  static const std::vector<const Template*> list{&kFirstOrderThermal, &kRcNetwork,     &kTwoTank,           &kDcMotor,
                                                 &kCentrifugalPump,   &kHeatExchanger, &kCompressorReceiver};
  return list;
}

const Template* find_template(std::string_view name) {
  for (const Template* entry : templates()) {
    if (entry->name == name) return entry;
  }
  return nullptr;
}

std::vector<std::string> model_types() {
  std::vector<std::string> names{std::string(kStateSpace)};
  for (const Template* entry : templates()) names.push_back(entry->name);
  return names;
}

base::Issues complete(ModelSettings& settings) {
  base::Issues issues;
  check_hold(settings, issues);
  check_sensor_lags(settings, issues);
  if (settings.type == kStateSpace) {
    if (!settings.parameters.empty()) {
      issues.push_back({"parameters", "given for a state_space", "parameters of a template"});
    }
    check_validity(settings, issues);
    return issues.empty() ? complete_augmentation(settings) : issues;
  }
  const Template* type = find_template(settings.type);
  if (type == nullptr) {
    std::string known;
    for (const auto& name : model_types()) known += (known.empty() ? "" : " | ") + name;
    issues.push_back({"type", "\"" + settings.type + "\" is no type of model", known});
    return issues;
  }
  refuse_matrices(settings, issues);
  complete_parameters(*type, settings, issues);
  if (type->check != nullptr) type->check(settings.parameters, issues);
  if (!issues.empty()) return issues;
  const TemplateSignals signals = type->signals(settings.parameters);
  complete_signals("states", signals.states, settings.states, issues);
  complete_signals("inputs", signals.inputs, settings.inputs, issues);
  complete_outputs(signals.outputs, settings.outputs, issues);
  check_validity(settings, issues);
  return issues.empty() ? complete_augmentation(settings) : issues;
}

bool linear(const ModelSettings& settings) {
  const Template* type = find_template(settings.type);
  const bool parameter = std::any_of(settings.augment.begin(), settings.augment.end(),
                                     [](const auto& entry) { return entry.kind == AugmentKind::parameter; });
  return !parameter && (type == nullptr || type->linear);
}

std::unique_ptr<Dynamics> make_dynamics(const ModelSettings& settings) {
  const Template* type = find_template(settings.type);
  if (type == nullptr) return nullptr;
  const std::vector<SignalInfo> infos = type->signals(settings.parameters).outputs;
  std::vector<std::size_t> outputs;
  for (const auto& output : settings.outputs) {
    const auto known = std::find_if(infos.begin(), infos.end(), [&](const auto& i) { return i.name == output.name; });
    outputs.push_back(static_cast<std::size_t>(known - infos.begin()));
  }
  return type->dynamics(settings.parameters, std::move(outputs));
}

}  // namespace twinkeeper::model
