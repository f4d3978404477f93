// Model templates: equations of usual machines, written down once, that need only their physical parameters.
//
// A template is data: the parameters it knows (name, unit, meaning, default, bounds), the states, inputs and outputs
// that follow from them, and a Dynamics with the equations. docs/models/ has a page for each.
//
//   settings with `type` and some `parameters`  → complete() →  settings with all parameters, states, inputs, outputs
//                                               → build()    →  StateSpace, with the Dynamics beside it
//
// Std types only, so that config can read a template's model without linear algebra.
// Errors: complete() returns every issue, with paths relative to the model ("parameters.UA", "states[1].name").
// Thread rule: the tables are constant, the functions pure. Allocation: load time only.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

class Dynamics;

inline constexpr std::string_view kStateSpace = "state_space";

struct ParameterInfo {
  std::string name;
  std::string unit;
  std::string meaning;
  std::optional<double> value = {};  // default; absent: must be given, unless `optional`
  double least = 0.0;
  double most = std::numeric_limits<double>::infinity();
  bool above_least = true;  // `least` itself is excluded
  bool optional = false;    // what it describes is not there unless it is given
  bool structural = false;  // decides how many states there are: cannot change while a model runs
};

struct SignalInfo {
  std::string name;
  std::string unit;
  std::string meaning;
  std::optional<double> min = {}, max = {}, nominal = {};
  bool optional = false;  // an output that is there only if listed
};

struct TemplateSignals {
  std::vector<SignalInfo> states, inputs, outputs;
};

// The values of a template's parameters by name.
using Parameters = std::vector<ParameterSettings>;
[[nodiscard]] std::optional<double> value_of(const Parameters& parameters, std::string_view name);

struct Template {
  std::string name;
  std::string summary;
  bool linear = true;  // and time-invariant: becomes an ordinary continuous model
  // What it accepts, in the order it is written back; `given` are the names a person wrote.
  std::vector<ParameterInfo> (*parameters)(const std::vector<std::string>& given);
  // What no single parameter shows to be wrong. May be null.
  void (*check)(const Parameters& parameters, base::Issues& issues);
  TemplateSignals (*signals)(const Parameters& parameters);
  // `outputs`: which of the outputs there are, as indices into signals().outputs.
  std::unique_ptr<Dynamics> (*dynamics)(const Parameters& parameters, std::vector<std::size_t> outputs);
};

[[nodiscard]] const std::vector<const Template*>& templates();
// Null: no template of that name.
[[nodiscard]] const Template* find_template(std::string_view name);
// "state_space | first_order_thermal | …"
[[nodiscard]] std::vector<std::string> model_types();

// Whether the equations of completed settings are linear: those of a nonlinear template are not, nor are any in which a
// parameter is a state.
[[nodiscard]] bool linear(const ModelSettings& settings);

// Checks the parameters and fills in what a person may leave out: parameters with a default, states, inputs, outputs,
// and what `augment` leaves open. States and inputs come in the template's order whatever the order they were listed
// in; outputs are those listed. A second call changes nothing. Of a state_space only `augment` is looked at.
[[nodiscard]] base::Issues complete(ModelSettings& settings);

// The equations with the parameters of completed settings; null for a state_space.
[[nodiscard]] std::unique_ptr<Dynamics> make_dynamics(const ModelSettings& settings);

}  // namespace twinkeeper::model
