#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

struct NamedMatrix {
  const char* name;
  const char* meaning;
  const Eigen::MatrixXd* matrix;  // nullptr: there is none
};

ordered_json rows_of(const Eigen::MatrixXd& matrix) {
  ordered_json rows = ordered_json::array();
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    ordered_json row = ordered_json::array();
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) row.push_back(matrix(i, j));
    rows.push_back(std::move(row));
  }
  return rows;
}

ordered_json finite_number(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

std::string digits17(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%24.17g", value);
  return text;
}

void print_matrix(const NamedMatrix& entry) {
  std::cout << entry.name << "  " << entry.meaning << '\n';
  if (entry.matrix == nullptr) {
    std::cout << "  none\n";
    return;
  }
  for (Eigen::Index i = 0; i < entry.matrix->rows(); ++i) {
    for (Eigen::Index j = 0; j < entry.matrix->cols(); ++j) std::cout << ' ' << digits17((*entry.matrix)(i, j));
    std::cout << '\n';
  }
}

void print_poles(const std::vector<model::Pole>& poles) {
  std::cout << "poles as time constants, slowest first\n";
  for (const auto& pole : poles) {
    std::cout << "  " << pole.time_constant << " s";
    if (std::isfinite(pole.period)) std::cout << ", oscillating with a period of " << pole.period << " s";
    std::cout << "  (" << digits17(pole.real) << " + " << digits17(pole.imaginary) << " i)\n";
  }
}

std::vector<std::string> names_of(const std::vector<model::Signal>& signals) {
  std::vector<std::string> names;
  for (const auto& signal : signals) names.push_back(signal.name);
  return names;
}

std::string listed(const std::vector<model::Signal>& signals) {
  std::string out;
  for (const auto& signal : signals) {
    out += (out.empty() ? "" : ", ") + signal.name + (signal.unit.empty() ? "" : "[" + signal.unit + "]");
  }
  return out.empty() ? "none" : out;
}

void print_template(const model::Dynamics& dynamics) {
  std::cout << "template " << dynamics.type().name
            << (dynamics.linear() ? ", linear\n" : ", nonlinear: the matrices are those at the operating point\n");
  for (std::size_t i = 0; i < dynamics.parameter_infos().size(); ++i) {
    const auto& info = dynamics.parameter_infos()[i];
    const double value = dynamics.parameters()[i];
    if (std::isnan(value)) continue;  // optional, not given
    std::cout << "  " << info.name << " = " << digits17(value) << (info.unit.empty() ? "" : " ") << info.unit << '\n';
  }
}

double time_constant(const model::AugmentedState& state) {
  return state.rate > 0.0 ? 1.0 / state.rate : std::numeric_limits<double>::infinity();
}

const model::Signal& signal_of(const model::StateSpace& model, std::size_t augmented) {
  return model.states[static_cast<std::size_t>(model.n_own()) + augmented];
}

void print_augmentation(const model::StateSpace& model) {
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    const auto& state = model.augmented[k];
    const model::Signal& signal = signal_of(model, k);
    std::cout << (k == 0 ? "augmented with\n" : "") << "  " << signal.name << ", " << model::to_string(state.kind)
              << " of " << state.of << ": initial " << state.initial << ", initial_std " << state.initial_std
              << ", noise_density " << state.noise_density << ", time_constant " << time_constant(state) << " s\n";
  }
}

ordered_json augmentation_of(const model::StateSpace& model) {
  ordered_json list = ordered_json::array();
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    const auto& state = model.augmented[k];
    list.push_back({{"state", signal_of(model, k).name},
                    {"kind", model::to_string(state.kind)},
                    {"of", state.of},
                    {"initial", state.initial},
                    {"initial_std", state.initial_std},
                    {"noise_density", state.noise_density},
                    {"time_constant_s", finite_number(time_constant(state))}});
  }
  return list;
}

void print_point(const char* symbol, const std::vector<model::Signal>& signals, const Eigen::VectorXd& values) {
  if (signals.empty()) return;
  std::cout << "operating point, " << symbol << '\n';
  for (std::size_t i = 0; i < signals.size(); ++i) {
    std::cout << "  " << signals[i].name << " = " << digits17(values(static_cast<Eigen::Index>(i))) << ' '
              << signals[i].unit << '\n';
  }
}

}  // namespace

int show_model_command(const ShowModelArguments& arguments) {
  const auto loaded = load_model_or_report(arguments.model_file, arguments.sample_time);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const auto& file = std::get<config::ModelFile>(loaded);
  std::vector<std::string> columns;
  for (const auto& output : file.model.outputs) columns.push_back(output.name);
  const Plan plan = plan_of_model(file, columns);
  const model::StateSpace& model = plan.models[0];

  const auto steady = model::steady_state(model);
  const auto of_steady = [&](Eigen::MatrixXd model::SteadyState::*member) {
    return steady.ok() ? &(steady.value().*member) : nullptr;
  };
  std::vector<NamedMatrix> matrices{
      {"Ad", "transition over one step", &model.A},
      {"Bd", model.foh() ? "input of z(k+1) = Ad z(k) + Bd u(k)" : "input held over the step", &model.B},
      {"C", "observation", &model.C},
      {"D", model.foh() ? "feed-through to y(k) = C z(k) + D u(k)" : "feed-through", &model.D},
      {"Qd", "covariance of the process noise of one step", &model.Q},
      {"R", "covariance of one sample", &model.R},
      {"S", "covariance between the two", &model.S},
      {"P", "steady covariance of the prediction x(k|k-1)", of_steady(&model::SteadyState::P)},
      {"M", "filter gain: x(k|k) = x(k|k-1) + M nu", of_steady(&model::SteadyState::M)},
      {"K", "predictor gain: x(k+1|k) = A x(k|k-1) + B u + K nu", of_steady(&model::SteadyState::K)},
      {"Sigma", "covariance of the innovation", of_steady(&model::SteadyState::Sigma)}};
  if (model.foh()) {
    matrices.insert(matrices.begin() + 4,
                    {"Gamma2", "what makes x of z: x(k) = z(k) + Gamma2 u(k)", &model.hold_offset});
  }
  const bool continuous = file.model.time == model::TimeBase::continuous;
  if (!steady.ok()) std::cerr << "warning: no steady state: " << steady.error().message() << '\n';

  if (arguments.json) {
    ordered_json out{{"name", model.name},
                     {"version", model.version},
                     {"hash", model.hash},
                     {"sample_time_s", model.sample_time},
                     {"states", names_of(model.states)},
                     {"inputs", names_of(model.inputs)},
                     {"outputs", names_of(model.outputs)}};
    if (continuous) out["hold"] = model.foh() ? "foh" : "zoh";
    for (const auto& entry : matrices) {
      out[entry.name] = entry.matrix != nullptr ? rows_of(*entry.matrix) : ordered_json(nullptr);
    }
    if (model.dynamics) {
      out["type"] = model.dynamics->type().name;
      const auto& infos = model.dynamics->parameter_infos();
      for (std::size_t i = 0; i < infos.size(); ++i) {
        const double value = model.dynamics->parameters()[i];
        out["parameters"][infos[i].name] = {{"value", finite_number(value)}, {"unit", infos[i].unit}};
      }
    }
    if (!model.augmented.empty()) out["augment"] = augmentation_of(model);
    out["operating_point"] = {{"x", std::vector<double>(model.x_op.begin(), model.x_op.end())},
                              {"u", std::vector<double>(model.u_op.begin(), model.u_op.end())},
                              {"y", std::vector<double>(model.y_op.begin(), model.y_op.end())}};
    out["d"] = std::vector<double>(model.d.begin(), model.d.end());
    out["poles"] = ordered_json::array();
    for (const auto& pole : model::poles(model)) {
      out["poles"].push_back({{"real", pole.real},
                              {"imaginary", pole.imaginary},
                              {"time_constant_s", finite_number(pole.time_constant)},
                              {"period_s", finite_number(pole.period)}});
    }
    std::cout << out.dump(2) << '\n';
    return kExitDone;
  }
  std::cout << model.name << " version " << model.version << ", sample time " << model.sample_time << " s\n"
            << "states   " << listed(model.states) << "\ninputs   " << listed(model.inputs) << "\noutputs  "
            << listed(model.outputs) << '\n';
  if (continuous) {
    std::cout << "hold: "
              << (model.foh() ? "foh, inputs run linearly from tick to tick\n"
                              : "zoh, inputs are held over the step\n");
  }
  if (model.dynamics) print_template(*model.dynamics);
  print_augmentation(model);
  print_point("x", model.states, model.x_op);
  print_point("u", model.inputs, model.u_op);
  print_point("y", model.outputs, model.y_op);
  for (const auto& entry : matrices) print_matrix(entry);
  print_poles(model::poles(model));
  return kExitDone;
}

}  // namespace twinkeeper::app
