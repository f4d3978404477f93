#include "config/tables.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;

Type<std::string> tag() { return text(127, "a tag, DEVICE.REGISTER"); }

Json tag_schema() { return {{"type", "string"}}; }

std::optional<Json> write_model(const TwinText& twin) { return model_table().write(twin.model.settings); }

std::optional<Json> write_inputs(const TwinText& twin) {
  Json out = Json::object();
  for (std::size_t i = 0; i < twin.inputs.size() && i < twin.model.settings.inputs.size(); ++i) {
    const InputText& input = twin.inputs[i];
    out[twin.model.settings.inputs[i].name] =
        input.tag.empty() ? Json(input.source.constant) : input_table().write(input);
  }
  return out;
}

std::optional<Json> write_outputs(const TwinText& twin) {
  Json out = Json::object();
  for (std::size_t i = 0; i < twin.outputs.size() && i < twin.model.settings.outputs.size(); ++i) {
    const OutputText& output = twin.outputs[i];
    if (output.tag.empty()) continue;
    const bool plain = output.source.combine == acquisition::Combine::last;
    out[twin.model.settings.outputs[i].name] = plain ? Json(output.tag) : output_table().write(output);
  }
  return out;
}

std::optional<Json> write_diagnosis(const TwinText& twin) { return diagnosis_table().write(twin.diagnosis); }

const Table<telemetry::StatePublishing>& state_publishing_table() {
  using T = telemetry::StatePublishing;
  using telemetry::StateLayout;
  static const Table<T> table(
      "a mapping with state_interval and layout",
      {
          key<T>("state_interval", duration(1ms, 24h), &T::state_interval, "How often the state is published"),
          key<T>("layout", choice<StateLayout>({{"nested", StateLayout::nested}, {"flat", StateLayout::flat}}),
                 &T::layout, "Form of the state message"),
      });
  return table;
}

const Table<acquisition::LateSettings>& estimator_table() {
  using T = acquisition::LateSettings;
  static const Table<T> table(
      "a mapping with history and lateness",
      {
          key<T>(
              "history", duration(0ms, 24h), &T::history,
              "Samples that come at most so late are fused where they belong; 100 periods, at most 60s, unless given"),
          key<T>("lateness", duration(0ms, 24h), &T::lateness,
                 "How far behind the newest step alarms are decided, so that no sample on its way changes them"),
      });
  return table;
}

}  // namespace

const Table<OutputText>& output_table() {
  using T = OutputText;
  using acquisition::Combine;
  static const Table<T> table(
      "a mapping with tag and combine",
      {
          key<T>("tag", tag(), &T::tag, "The register that measures the output", Need::required),
          key<T>(
              "combine", choice<Combine>({{"last", Combine::last}, {"mean", Combine::mean}}),
              [](auto& t) -> auto& { return t.source.combine; },
              "Of several samples in one period: the last, or their mean, with the variance of a mean"),
      });
  return table;
}

const Table<InputText>& input_table() {
  using T = InputText;
  using acquisition::OnStale;
  static const Table<T> table(
      "a mapping with tag, max_age, on_stale and delay",
      {
          key<T>("tag", tag(), &T::tag, "The register the input is read from", Need::required),
          key<T>(
              "max_age", duration(1ms, 30 * 24h), [](auto& t) -> auto& { return t.source.max_age; },
              "Older values are stale; the register's own unless given"),
          key<T>(
              "on_stale",
              choice<OnStale>({{"hold", OnStale::hold}, {"nominal", OnStale::nominal}, {"bad", OnStale::bad}}),
              [](auto& t) -> auto& { return t.source.on_stale; }, "What stands in for a stale value"),
          key<T>(
              "delay", duration(0ms, 24h), [](auto& t) -> auto& { return t.source.delay; },
              "Dead time: the machine feels the input so much later"),
      });
  return table;
}

const Table<RegimeText>& regime_table() {
  using T = RegimeText;
  static const Table<T> table(
      "a mapping with name, when and settle",
      {
          key<T>(
              "name", identifier(), [](auto& t) -> auto& { return t.settings.name; }, "Name of the regime",
              Need::required),
          key<T>("when", text(500, "a condition"), &T::when,
                 "Comparisons of tags with numbers (< <= > >= == !=), joined by and, or, not and parentheses",
                 Need::required),
          key<T>(
              "settle", duration(0ms, 30 * 24h), [](auto& t) -> auto& { return t.settings.settle; },
              "How long tests are held after the regime is entered"),
      });
  return table;
}

const Table<TwinText>& twin_table() {
  using T = TwinText;
  static const Json model_schema = {
      {"anyOf",
       Json::array({{{"type", "string"}}, {{"$ref", "#/definitions/model_file"}}, {{"$ref", "#/definitions/model"}}})}};
  static const Json inputs_schema = {
      {"type", "object"},
      {"additionalProperties", {{"anyOf", Json::array({tag_schema(), {{"type", "number"}}, input_table().schema()})}}}};
  static const Json outputs_schema = {
      {"type", "object"}, {"additionalProperties", {{"anyOf", Json::array({tag_schema(), output_table().schema()})}}}};
  static const Json diagnosis_schema = {
      {"anyOf", Json::array({{{"type", "string"}}, {{"$ref", "#/definitions/diagnosis"}}})}};
  static const Table<T> table(
      "a mapping with name, model, inputs and outputs",
      {
          key<T>("name", identifier(), &T::name, "Name of the twin, unique among devices and twins", Need::required),
          key<T>("period", duration(1ms, 24h), &T::period,
                 "Time between two steps; for a discrete model its sample_time, which is also the default"),
          deferred<T>("model", "a model file or a mapping with the model", model_schema, &T::model_at, write_model,
                      "A model file, or the model itself", Need::required),
          deferred<T>("inputs", "a mapping from the model's inputs to tags or numbers", inputs_schema, &T::inputs_at,
                      write_inputs,
                      "Where each input of the model comes from: a tag, a number, or {tag, max_age, on_stale, delay}"),
          deferred<T>("outputs", "a mapping from the model's outputs to tags", outputs_schema, &T::outputs_at,
                      write_outputs,
                      "The tag that measures each output, or {tag, combine}; outputs without one are only estimated"),
          key<T>("estimator", mapping(estimator_table()), &T::late, "How long samples are waited for"),
          key<T>("publish", mapping(state_publishing_table()), &T::publish, "Publishing of the state"),
          deferred<T>("diagnosis", "a mapping or a file with the diagnosis", diagnosis_schema, &T::diagnosis_at,
                      write_diagnosis, "Laid over the model's own, key by key"),
          key<T>("regimes", list(tracked(regime_table())), &T::regimes,
                 "Ways of running in which the model holds, the first that applies; outside of them tests are held"),
      });
  return table;
}

}  // namespace twinkeeper::config
