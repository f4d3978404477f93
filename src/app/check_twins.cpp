#include <algorithm>
#include <cmath>

#include "app/check_report.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

constexpr double kRounding = 1e-12;  // of an integrator's eigenvalue

// JSON has no infinity: a pole on the unit circle has no time constant.
ordered_json finite_or_null(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

ordered_json pole_list(const model::StateSpace& model) {
  ordered_json list = ordered_json::array();
  for (const auto& pole : model::poles(model)) {
    list.push_back({{"time_constant_s", finite_or_null(pole.time_constant)},
                    {"magnitude", pole.magnitude},
                    {"period_s", finite_or_null(pole.period)}});
  }
  return list;
}

ordered_json gain_table(const model::StateSpace& model) {
  const auto gain = model::steady_state_gain(model);
  if (!gain) return nullptr;
  ordered_json table = ordered_json::object();
  for (Eigen::Index i = 0; i < model.n_y(); ++i) {
    for (Eigen::Index j = 0; j < model.n_u(); ++j) {
      table[model.outputs[static_cast<std::size_t>(i)].name][model.inputs[static_cast<std::size_t>(j)].name] =
          (*gain)(i, j);
    }
  }
  return table;
}

std::vector<Eigen::Index> measured_outputs(const config::TwinConfig& twin) {
  std::vector<Eigen::Index> measured;
  for (std::size_t i = 0; i < twin.outputs.size(); ++i) {
    if (twin.outputs[i].tag) measured.push_back(static_cast<Eigen::Index>(i));
  }
  return measured;
}

// What no measured output shows is mended by measuring more, unless the model shows it with no output at all.
void judge_observability(const model::StateSpace& model, const model::Detectability& seen, const std::string& outputs,
                         const std::string& path_of_C, Findings& findings) {
  const auto by_all = model::detectability(model).unobservable_states;
  const auto names = [](const std::vector<std::string>& list, const std::string& state) {
    return std::find(list.begin(), list.end(), state) != list.end();
  };
  for (const auto& state : seen.unobservable_states) {
    const bool hopeless = names(by_all, state);
    findings.warn(hopeless ? path_of_C : outputs,
                  "state " + state + " takes part in a mode that no " + (hopeless ? "" : "measured ") + "output shows" +
                      (names(seen.undetectable_states, state) ? " and that does not decay: it is not known" : ""));
  }
}

void add_steady_state(const model::StateSpace& model, const model::SteadyState& steady,
                      const std::vector<Eigen::Index>& measured, ordered_json& report) {
  ordered_json states = ordered_json::object();
  for (Eigen::Index i = 0; i < model.n_x(); ++i) {
    states[model.states[static_cast<std::size_t>(i)].name] =
        model.innovations_form_only ? ordered_json(nullptr) : ordered_json(std::sqrt(steady.P_post(i, i)));
  }
  report["steady_state_std"] = states;
  ordered_json innovations = ordered_json::object();
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    innovations[model.outputs[static_cast<std::size_t>(measured[i])].name] = std::sqrt(steady.Sigma(row, row));
  }
  report["innovation_std"] = innovations;
  const auto ambiguity = model::ambiguity(model::fault_signatures(model, steady, measured));
  report["ambiguity_groups"] = ambiguity.groups;
  report["undetectable_faults"] = ambiguity.undetectable;
}

}  // namespace

ordered_json check_twin(const Plan& plan, std::size_t index, Findings& findings) {
  const auto& twin = plan.config.twins[index];
  const auto& model = plan.models[index];
  const auto path = [index](const std::string& key) { return path_of("twins", index, key); };
  const auto measured = measured_outputs(twin);
  const double radius = model::spectral_radius(model::without_augmentation(model).A);
  const bool stable = radius < 1.0 - kRounding;
  ordered_json names = ordered_json::array();
  for (const auto output : measured) names.push_back(model.outputs[static_cast<std::size_t>(output)].name);
  ordered_json report{{"name", twin.name},         {"model", model.name},       {"version", model.version},
                      {"hash", model.hash},        {"order", model.n_x()},      {"inputs", model.n_u()},
                      {"outputs", model.n_y()},    {"measured_outputs", names}, {"sample_time_s", model.sample_time},
                      {"spectral_radius", radius}, {"stable", stable},          {"poles", pole_list(model)}};
  if (!stable) {
    findings.warn(path("model.A"),
                  "the model does not come to rest by itself (spectral radius " + short_number(radius) + ")");
  }
  const auto seen = model::detectability(model, measured);
  report["observable"] = seen.observable;
  report["detectable"] = seen.detectable;
  report["unobservable_states"] = seen.unobservable_states;
  judge_observability(model, seen, path("outputs"), path("model.C"), findings);
  report["steady_state_gain"] = gain_table(model);

  const auto steady = model::steady_state(model, measured);
  if (steady) {
    add_steady_state(model, steady.value(), measured, report);
    return report;
  }
  for (const char* key : {"steady_state_std", "innovation_std", "ambiguity_groups", "undetectable_faults"}) {
    report[key] = nullptr;
  }
  // Told above already where it is for want of measurements.
  if (seen.detectable) findings.warn(path("model.noise"), steady.error().message());
  return report;
}

}  // namespace twinkeeper::app
