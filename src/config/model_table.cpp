#include <charconv>
#include <cmath>
#include <limits>

#include "config/tables.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using model::InputSettings;
using model::ModelSettings;
using model::NoiseSettings;
using model::OperatingPointSettings;
using model::OutputSettings;
using model::StateSettings;

Type<std::string> unit() { return text(32, "a unit"); }
Type<double> not_negative() { return number({.least = 0.0}); }

const Table<StateSettings>& state_table() {
  using T = StateSettings;
  static const Table<T> table(
      "a mapping with the name of the state",
      {
          key<T>("name", identifier(), &T::name, "Name of the state", Need::required),
          key<T>("unit", unit(), &T::unit, "Unit"),
          key<T>("initial", number(), &T::initial, "Absolute value at the first step; estimated unless given"),
          key<T>("initial_std", not_negative(), &T::initial_std,
                 "Standard deviation of it; the steady-state one unless given"),
          key<T>("min", number(), &T::min, "The state is projected to at least this"),
          key<T>("max", number(), &T::max, "The state is projected to at most this"),
      });
  return table;
}

const Table<InputSettings>& model_input_table() {
  using T = InputSettings;
  static const Table<T> table("a mapping with the name of the input",
                              {
                                  key<T>("name", identifier(), &T::name, "Name of the input", Need::required),
                                  key<T>("unit", unit(), &T::unit, "Unit"),
                                  key<T>("nominal", number(), &T::nominal, "Value at the operating point"),
                                  key<T>("min", number(), &T::min, "Smaller values are saturated"),
                                  key<T>("max", number(), &T::max, "Larger values are saturated"),
                              });
  return table;
}

const Table<OutputSettings>& model_output_table() {
  using T = OutputSettings;
  static const Table<T> table(
      "a mapping with the name of the output",
      {
          key<T>("name", identifier(), &T::name, "Name of the output", Need::required),
          key<T>("unit", unit(), &T::unit, "Unit"),
          key<T>("nominal", number(), &T::nominal, "Value at the operating point"),
          key<T>("noise_std", not_negative(), &T::noise_std, "Standard deviation of one sample"),
          key<T>("resolution", not_negative(), &T::resolution,
                 "Step of the sensor; adds resolution²/12 to the variance"),
          key<T>("lag", duration(1ms, 24h), &T::lag,
                 "Time constant with which the sensor follows what C and D show, continuous models only"),
      });
  return table;
}

const Table<NoiseSettings>& noise_table() {
  using T = NoiseSettings;
  static const Table<T> table(
      "a mapping with Q and R, or K and Ry",
      {
          key<T>("Q", matrix(), &T::Q, "Covariance of the process noise (continuous: spectral density in unit²/s)"),
          key<T>("R", matrix(), &T::R, "Covariance of one sample of the outputs"),
          key<T>("S", matrix(), &T::S, "Covariance between process and measurement noise, discrete models only"),
          key<T>("K", matrix(), &T::K, "Predictor gain of the innovations form, discrete models only"),
          key<T>("Ry", matrix(), &T::Ry, "Covariance of the innovations"),
      });
  return table;
}

const Table<OperatingPointSettings>& operating_point_table() {
  using T = OperatingPointSettings;
  static const Table<T> table("a mapping with x, u and y", {
                                                               key<T>("x", vector(), &T::x, "States"),
                                                               key<T>("u", vector(), &T::u, "Inputs"),
                                                               key<T>("y", vector(), &T::y, "Outputs"),
                                                           });
  return table;
}

Key<ModelSettings> model_type() {
  std::vector<std::pair<std::string, std::string>> types;
  for (const auto& type : model::model_types()) types.emplace_back(type, type);
  auto out = key<ModelSettings>("type", choice<std::string>(types), &ModelSettings::type, "Kind of model");
  // A template is continuous unless `time`, which is read later, says something else: then that is told.
  out.read = [read = out.read](Reader& reader, const Cursor& at, ModelSettings& model) {
    const bool good = read(reader, at, model);
    if (model.type != model::kStateSpace) model.time = model::TimeBase::continuous;
    return good;
  };
  return out;
}

// Of continuous models; a discrete one has nothing between its steps, so nothing is written back for it.
Key<ModelSettings> discretization() {
  auto out = key<ModelSettings>(
      "discretization",
      choice<model::Discretization>({{"zoh", model::Discretization::zoh}, {"foh", model::Discretization::foh}}),
      &ModelSettings::discretization,
      "What the inputs of a continuous model do between two ticks: held (zoh), or linear to the next value (foh)");
  out.schema["default"] = "zoh";
  out.write = [write = out.write](const ModelSettings& model) -> std::optional<Json> {
    if (model.time == model::TimeBase::discrete) return std::nullopt;
    return write(model);
  };
  return out;
}

// A mapping from names to quantities, in the order written.
Type<std::vector<model::ParameterSettings>> parameters() {
  const std::string one = "a number in the parameter's unit, or a text with both such as 850 W/K";
  const std::string accepted = "a mapping from the template's parameters to values, each " + one;
  const Json value = {{"anyOf", Json::array({Json{{"type", "number"}}, Json{{"type", "string"}}})}};
  const auto read_one = [one](Reader& reader, const Cursor& at, model::ParameterSettings& parameter) {
    if (at.node->kind != NodeKind::scalar) return refuse(reader, at, "a number", one);
    const ScalarType type = resolve(*at.node);
    if (type == ScalarType::integer || type == ScalarType::real || type == ScalarType::not_finite) {
      static const Type<double> plain = number();
      return plain.read(reader, at, parameter.value);
    }
    const std::string& text = at.node->text;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parameter.value);
    const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const std::size_t unit_at = rest.find_first_not_of(' ');
    const bool has_unit = unit_at != std::string_view::npos && unit_at > 0;
    if (type != ScalarType::text || error != std::errc{} || !std::isfinite(parameter.value) || !has_unit) {
      reader.error(at, describe(*at.node) + " is not accepted", one);
      return false;
    }
    parameter.unit = rest.substr(unit_at);
    return true;
  };
  return named<model::ParameterSettings>(
      accepted, value, read_one, [](const model::ParameterSettings& parameter) { return Json(parameter.value); });
}

Type<std::optional<base::Duration>> duration_or_inf() {
  const Type<base::Duration> finite = duration(1ms, 24h * 36500, " | inf");
  return {finite.accepted,
          {{"anyOf", Json::array({finite.schema, {{"const", "inf"}}})}},
          [finite](Reader& reader, const Cursor& at, std::optional<base::Duration>& value) {
            if (at.node->kind == NodeKind::scalar && at.node->text == "inf") {
              value.reset();
              return true;
            }
            base::Duration read{};
            if (!finite.read(reader, at, read)) return false;
            value = read;
            return true;
          },
          [finite](const std::optional<base::Duration>& value) { return value ? finite.write(*value) : Json("inf"); }};
}

const Table<model::AugmentSettings>& augment_table() {
  using T = model::AugmentSettings;
  using model::AugmentKind;
  static const Table<T> table(
      "a mapping with kind and what it is of",
      {
          key<T>("kind",
                 choice<AugmentKind>({{"sensor_bias", AugmentKind::sensor_bias},
                                      {"input_disturbance", AugmentKind::input_disturbance},
                                      {"parameter", AugmentKind::parameter}}),
                 &T::kind, "What is estimated beside the states", Need::required),
          key<T>("output", identifier(), &T::output, "Output whose sensor is biased"),
          key<T>("input", identifier(), &T::input, "Input that is disturbed"),
          key<T>("name", text(64, "a parameter"), &T::name, "Parameter of the template that changes"),
          key<T>("initial", number(), &T::initial, "Value before the first step; 0, or that of the parameter"),
          key<T>("initial_std", not_negative(), &T::initial_std,
                 "Standard deviation of it; with a time_constant that in the long run unless given"),
          key<T>("noise_density", number({0.0, std::numeric_limits<double>::infinity(), true}), &T::noise_density,
                 "How fast it wanders, in its unit per root second"),
          key<T>("std", number({0.0, std::numeric_limits<double>::infinity(), true}), &T::std,
                 "Standard deviation in the long run, instead of noise_density; needs a time_constant"),
          key<T>("time_constant", duration_or_inf(), &T::time_constant,
                 "With which it goes back to 0 or the parameter's value by itself; inf: a random walk"),
          key<T>("min", number(), &T::min, "It is projected to at least this"),
          key<T>("max", number(), &T::max, "It is projected to at most this"),
          key<T>(
              "deviation_limit", number({0.0, std::numeric_limits<double>::infinity(), true}), &T::deviation_limit,
              "An alarm when it is this far from `initial`; three times what the model holds possible of it by itself "
              "unless given"),
      });
  return table;
}

// Of a key that only a state_space needs.
Key<ModelSettings> of_state_space(Key<ModelSettings> key) {
  key.need = Need::required;
  key.needed = [](const ModelSettings& model) { return model.type == model::kStateSpace; };
  return key;
}

}  // namespace

const Table<ModelSettings>& model_table() {
  using T = ModelSettings;
  static const Table<T> table(
      "a mapping with name, states, outputs, A, C and noise",
      {
          key<T>("name", text(64, "a name"), &T::name, "Name of the model", Need::required),
          key<T>("version", integer<int>(0, 1'000'000'000), &T::version, "Version of the model"),
          model_type(),
          key<T>("time",
                 choice<model::TimeBase>(
                     {{"discrete", model::TimeBase::discrete}, {"continuous", model::TimeBase::continuous}}),
                 &T::time, "Difference or differential equations"),
          discretization(),
          key<T>("sample_time", number({0.0, 86400.0, true}), &T::sample_time, "Seconds; a discrete model needs it"),
          key<T>("parameters", parameters(), &T::parameters, "Physical parameters of a template, see docs/models/"),
          of_state_space(
              key<T>("states", list(mapping(state_table()), 1), &T::states, "The states, in the order of A")),
          key<T>("inputs", list(mapping(model_input_table())), &T::inputs, "The inputs, in the order of B's columns"),
          of_state_space(key<T>("outputs", list(mapping(model_output_table()), 1), &T::outputs,
                                "The outputs, in the order of C's rows")),
          of_state_space(key<T>("A", matrix(), &T::A, "n_x × n_x")),
          key<T>("B", matrix(), &T::B, "n_x × n_u"),
          of_state_space(key<T>("C", matrix(), &T::C, "n_y × n_x")),
          key<T>("D", matrix(), &T::D, "n_y × n_u; zeros unless given"),
          key<T>("noise", mapping(noise_table()), &T::noise, "Covariances", Need::required),
          key<T>("operating_point", mapping(operating_point_table()), &T::operating_point,
                 "Where the deviations are zero; zeros unless given"),
          key<T>("validity", mapping(validity_table()), &T::validity,
                 "Where the model is meant to hold: outside the twin runs on and its tests are held"),
          key<T>("augment", list(mapping(augment_table())), &T::augment,
                 "Biases, disturbances and parameters to be estimated, see docs/models/augmentation.md"),
          key<T>("dx", vector(), &T::dx, "Derivative of the states at the operating point, continuous models only"),
      },
      {{"anyOf", Json::array({Json{{"required", Json::array({"states", "outputs", "A", "C"})}},
                              Json{{"required", Json::array({"type", "parameters"})}}})}});
  return table;
}

const Table<ModelFileText>& model_file_table() {
  using T = ModelFileText;
  const auto not_written = [](const T&) -> std::optional<Json> { return std::nullopt; };
  static const Table<T> table("a mapping with model, diagnosis and provenance",
                              {
                                  deferred<T>("model", "a mapping with the model", model_table().schema(), &T::model_at,
                                              not_written, "The model", Need::required),
                                  deferred<T>("diagnosis", "a mapping with the diagnosis", diagnosis_table().schema(),
                                              &T::diagnosis_at, not_written, "Limits and delays found for the model"),
                                  deferred<T>("provenance", "a mapping", {{"type", "object"}}, &T::provenance_at,
                                              not_written, "Where the model comes from; read by people"),
                              });
  return table;
}

}  // namespace twinkeeper::config
