#include "simulation/fault.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "model/wording.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::simulation {
namespace {

struct Form {
  FaultKind kind;
  std::string_view word;
  std::string_view pattern;
  bool has_value;
  bool has_end = true;
};
constexpr std::array<Form, 7> kForms{{
    {FaultKind::disturbance, "disturbance", "disturbance:TWIN.STATE@T+D=V", true},
    {FaultKind::stuck, "stuck", "stuck:TAG@T+D", false},
    {FaultKind::bias, "bias", "bias:TAG@T+D=V", true},
    {FaultKind::drift, "drift", "drift:TAG@T+D=V", true},
    {FaultKind::noise, "noise", "noise:TAG@T+D=F", true},
    {FaultKind::dropout, "dropout", "dropout:DEVICE@T+D", false},
    {FaultKind::parameter, "parameter", "parameter:TWIN.NAME@T=V", true, false},
}};

std::string all_patterns() {
  std::string text;
  for (const Form& form : kForms) text += (text.empty() ? "" : ", ") + std::string(form.pattern);
  return text;
}

std::string list(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 20;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return names.empty() ? "none are configured" : text;
}

base::Error wrong(std::string_view spec, const std::string& what, const std::string& accepted) {
  return {base::ErrorCode::invalid_argument, "fault '" + std::string(spec) + "': " + what + "; accepted: " + accepted};
}

// A plain decimal number from the front of `text`, which is shortened by it.
std::optional<double> take_number(std::string_view& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// The index of `name`, or nothing.
std::optional<std::size_t> find(const std::vector<std::string>& names, std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  return std::nullopt;
}

struct Names {
  std::vector<std::string> tags, devices, states;
  std::vector<bool> is_text;                                         // by tag
  std::set<std::size_t> measured;                                    // tags that are a twin's output
  std::vector<std::pair<std::size_t, std::size_t>> state_index;      // twin, state
  std::vector<std::string> parameters;                               // of templates, those that can change
  std::vector<std::pair<std::size_t, std::string>> parameter_index;  // twin, name
};

Names names_of(const Settings& settings) {
  Names names;
  for (const auto& device : settings.devices) {
    names.devices.push_back(device.name);
    for (const auto& reg : device.registers) {
      names.tags.push_back(device.name + "." + reg.name);
      names.is_text.push_back(reg.type == drivers::ValueType::STRING);
    }
  }
  for (std::size_t t = 0; t < settings.twins.size(); ++t) {
    const auto& states = settings.twins[t].model.states;
    for (std::size_t s = 0; s < states.size(); ++s) {
      names.states.push_back(settings.twins[t].name + "." + states[s].name);
      names.state_index.emplace_back(t, s);
    }
    if (const auto& dynamics = settings.twins[t].model.dynamics) {
      for (const auto& name : dynamics->changeable_parameters()) {
        names.parameters.push_back(settings.twins[t].name + "." + name);
        names.parameter_index.emplace_back(t, name);
      }
    }
    for (const auto& tag : settings.twins[t].outputs) {
      if (tag) names.measured.insert(*tag);
    }
  }
  return names;
}

std::vector<std::string> measured_tags(const Names& names) {
  std::vector<std::string> tags;
  for (const std::size_t tag : names.measured) tags.push_back(names.tags[tag]);
  return tags;
}

std::string range_of(const model::Signal& state) {
  const auto& [min, max] = state.limits;
  const std::string unit = state.unit.empty() ? "" : " in " + state.unit;
  if (std::isinf(max)) return model::print(min) + " or more" + unit;
  if (std::isinf(min)) return model::print(max) + " or less" + unit;
  return "a number from " + model::print(min) + " to " + model::print(max) + unit;
}

// Where a parameter is a state its limits hold for it too, and a plant would stop there.
std::optional<base::Error> outside_limits(const Fault& fault, const model::StateSpace& model) {
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    const model::AugmentedState& augmented = model.augmented[k];
    if (augmented.kind != model::AugmentKind::parameter || augmented.of != fault.parameter) continue;
    const model::Signal& state = model.states[static_cast<std::size_t>(model.n_own()) + k];
    if (fault.value >= state.limits.min && fault.value <= state.limits.max) continue;
    return wrong(fault.spec, model::print(fault.value) + " is outside min and max of the augmented state " + state.name,
                 range_of(state));
  }
  return std::nullopt;
}

// Fills in what `target` names; the text of an error, or nothing.
std::optional<base::Error> resolve(Fault& fault, std::string_view target, const Settings& settings) {
  const Names names = names_of(settings);
  const std::string quoted = "'" + std::string(target) + "'";
  switch (fault.kind) {
    case FaultKind::disturbance: {
      const auto found = find(names.states, target);
      if (!found) return wrong(fault.spec, "there is no state " + quoted, list(names.states));
      std::tie(fault.twin, fault.state) = names.state_index[*found];
      return std::nullopt;
    }
    case FaultKind::stuck:
    case FaultKind::bias:
    case FaultKind::drift:
    case FaultKind::noise: {
      const auto found = find(names.tags, target);
      if (!found) return wrong(fault.spec, "there is no tag " + quoted, list(names.tags));
      if (fault.kind == FaultKind::noise && !names.measured.contains(*found)) {
        return wrong(fault.spec, quoted + " is no twin's output and has no noise", list(measured_tags(names)));
      }
      if (fault.kind != FaultKind::stuck && names.is_text[*found]) {
        return wrong(fault.spec, quoted + " is text and can't be biased", "a tag with a number");
      }
      fault.tag = static_cast<signals::TagIndex>(*found);
      return std::nullopt;
    }
    case FaultKind::dropout: {
      const auto found = find(names.devices, target);
      if (!found) return wrong(fault.spec, "there is no device " + quoted, list(names.devices));
      fault.device = *found;
      return std::nullopt;
    }
    case FaultKind::parameter: {
      const auto found = find(names.parameters, target);
      if (!found) {
        return wrong(
            fault.spec, "there is no parameter " + quoted,
            names.parameters.empty() ? "parameters of templates, which no twin's model is" : list(names.parameters));
      }
      std::tie(fault.twin, fault.parameter) = names.parameter_index[*found];
      if (settings.twins[fault.twin].model.foh()) {
        return wrong(fault.spec, "the model of twin '" + settings.twins[fault.twin].name + "' has discretization: foh",
                     "a model with zoh");
      }
      if (settings.twins[fault.twin].model.B_late.size() != 0) {
        return wrong(fault.spec,
                     "an input of twin '" + settings.twins[fault.twin].name +
                         "' has a dead time that is no whole number of periods",
                     "dead times of whole periods");
      }
      const auto changed = settings.twins[fault.twin].model.dynamics->clone();
      if (const auto status = changed->set_parameter(fault.parameter, fault.value); !status.ok()) {
        return base::Error(status.error().code(), "fault '" + fault.spec + "': " + status.error().message());
      }
      return outside_limits(fault, settings.twins[fault.twin].model);
    }
  }
  return std::nullopt;
}

}  // namespace

base::Result<Fault> parse_fault(std::string_view spec, const Settings& settings) {
  const std::size_t colon = spec.find(':');
  const std::string_view word = spec.substr(0, colon);
  const Form* form = nullptr;
  for (const Form& candidate : kForms) {
    if (candidate.word == word) form = &candidate;
  }
  if (form == nullptr) return wrong(spec, "unknown kind of fault '" + std::string(word) + "'", all_patterns());
  const std::string pattern(form->pattern);
  if (colon == std::string_view::npos) return wrong(spec, "nothing after the kind", pattern);

  const std::size_t at = spec.find('@', colon);
  if (at == std::string_view::npos) return wrong(spec, "no '@' with the time", pattern);
  const std::string_view target = spec.substr(colon + 1, at - colon - 1);
  std::string_view rest = spec.substr(at + 1);

  Fault fault;
  fault.kind = form->kind;
  fault.spec = spec;
  const auto onset = take_number(rest);
  if (!onset || *onset < 0.0) return wrong(spec, "T is not a time", pattern + " with T in seconds, 0 or more");
  fault.onset = *onset;
  fault.duration = std::numeric_limits<double>::infinity();
  if (form->has_end) {
    if (!take(rest, '+')) return wrong(spec, "no '+' with the duration after T", pattern);
    const auto duration = take_number(rest);
    if (!duration || *duration <= 0.0) {
      return wrong(spec, "D is not a duration", pattern + " with D in seconds, more than 0");
    }
    fault.duration = *duration;
  }
  if (form->has_value) {
    if (!take(rest, '=')) {
      return wrong(spec, std::string("no '=' with the value after ") + (form->has_end ? "D" : "T"), pattern);
    }
    take(rest, '+');
    const auto value = take_number(rest);
    if (!value) return wrong(spec, std::string(1, pattern.back()) + " is not a finite number", pattern);
    if (fault.kind == FaultKind::noise && *value < 0.0) {
      return wrong(spec, "F is below 0", pattern + " with F times the noise of the model, 0 or more");
    }
    fault.value = *value;
  }
  if (!rest.empty()) return wrong(spec, "'" + std::string(rest) + "' at the end is too much", pattern);
  if (auto error = resolve(fault, target, settings)) return std::move(*error);
  return fault;
}

}  // namespace twinkeeper::simulation
