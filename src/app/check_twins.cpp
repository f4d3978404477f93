#include <cmath>

#include "app/check_report.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

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

}  // namespace

ordered_json check_twin(const config::TwinConfig& twin, const model::StateSpace& model,
                        std::vector<std::string>& warnings) {
  ordered_json report{{"name", twin.name},
                      {"model", model.name},
                      {"version", model.version},
                      {"hash", model.hash},
                      {"order", model.n_x()},
                      {"inputs", model.n_u()},
                      {"outputs", model.n_y()},
                      {"sample_time_s", model.sample_time},
                      {"spectral_radius", model::spectral_radius(model.A)},
                      {"stable", model::spectral_radius(model.A) < 1.0},
                      {"poles", pole_list(model)}};
  if (!report["stable"].get<bool>()) warnings.push_back("twin " + twin.name + ": the model is not stable by itself");

  const auto seen = model::detectability(model);
  report["observable"] = seen.observable;
  report["detectable"] = seen.detectable;
  report["unobservable_states"] = seen.unobservable_states;
  for (const auto& state : seen.unobservable_states) {
    warnings.push_back("twin " + twin.name + ": state " + state + " takes part in a mode that no output sees");
  }
  report["steady_state_gain"] = gain_table(model);

  auto steady = model::steady_state(model);
  if (!steady) {
    report["steady_state_std"] = nullptr;
    warnings.push_back("twin " + twin.name + ": " + steady.error().message());
  } else {
    ordered_json std = ordered_json::object();
    for (Eigen::Index i = 0; i < model.n_x(); ++i) {
      std[model.states[static_cast<std::size_t>(i)].name] =
          model.innovations_form_only ? ordered_json(nullptr) : ordered_json(std::sqrt(steady.value().P_post(i, i)));
    }
    report["steady_state_std"] = std;
    ordered_json innovation = ordered_json::object();
    for (Eigen::Index i = 0; i < model.n_y(); ++i) {
      innovation[model.outputs[static_cast<std::size_t>(i)].name] = std::sqrt(steady.value().Sigma(i, i));
    }
    report["innovation_std"] = innovation;
  }
  return report;
}

}  // namespace twinkeeper::app
