// Two streams on both sides of a wall, in cells. Equations and source: docs/models/heat_exchanger.md.
#include <cmath>

#include "model/templates/list.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t { kUA, kCpHot, kCpCold, kMHot, kMCold, kCells, kCounter };
enum U : Eigen::Index { kHotIn, kColdIn, kHotFlow, kColdFlow };

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  ParameterInfo cells{"cells", "", "cells along each stream, a whole number", 3.0, 1.0, 5.0};
  cells.above_least = false;
  cells.structural = true;
  ParameterInfo counter{"counter_current", "", "1: the streams run against each other, 0: the same way", 1.0, 0.0, 1.0};
  counter.above_least = false;
  counter.structural = true;
  return {{"UA", "W/K", "heat transfer coefficient times area of the whole wall"},
          {"cp_hot", "J/(kg K)", "specific heat capacity of the hot stream"},
          {"cp_cold", "J/(kg K)", "specific heat capacity of the cold stream"},
          {"M_hot", "kg", "content of the hot side, its share of the wall included"},
          {"M_cold", "kg", "content of the cold side, its share of the wall included"},
          cells,
          counter};
}

void check(const Parameters& parameters, base::Issues& issues) {
  for (const char* name : {"cells", "counter_current"}) {
    const auto value = value_of(parameters, name);
    if (!value || *value == std::floor(*value)) continue;
    issues.push_back({std::string("parameters.") + name, "is not a whole number", "a whole number"});
  }
}

Eigen::Index cells_of(const Parameters& parameters) {
  return static_cast<Eigen::Index>(value_of(parameters, "cells").value_or(1.0));
}

TemplateSignals signals(const Parameters& parameters) {
  TemplateSignals out;
  for (const char* side : {"hot", "cold"}) {
    for (Eigen::Index i = 1; i <= cells_of(parameters); ++i) {
      out.states.push_back({std::string("T_") + side + "_" + std::to_string(i), "degC", "temperature of a cell"});
    }
  }
  out.inputs = {{"T_hot_in", "degC", "hot stream, where it enters"},
                {"T_cold_in", "degC", "cold stream, where it enters"},
                {"flow_hot", "kg/s", "mass flow of the hot stream", 0.0},
                {"flow_cold", "kg/s", "mass flow of the cold stream", 0.0}};
  out.outputs = {{"T_hot_out", "degC", "hot stream, where it leaves"},
                 {"T_cold_out", "degC", "cold stream, where it leaves"}};
  return out;
}

class HeatExchanger final : public Dynamics {
 public:
  HeatExchanger(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kHeatExchanger, parameters, std::move(outputs)), cells_(cells_of(parameters)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<HeatExchanger>(*this); }

 private:
  [[nodiscard]] bool counter() const { return theta(kCounter) > 0.5; }

  // What flows into cell `i` of content M from cell `before`, or from the inlet where that is −1.
  static void stream(Index i, Index before, Index inlet, Index flow, double M, const Vector& x, const Vector& u,
                     Vector& f, Matrix& F, Matrix& G) {
    const double rate = u(flow) / M;
    const double upstream = before < 0 ? u(inlet) : x(before);
    f(i) += rate * (upstream - x(i));
    F(i, i) -= rate;
    (before < 0 ? G(i, inlet) : F(i, before)) += rate;
    G(i, flow) += (upstream - x(i)) / M;
  }
  static void exchange(Index i, Index other, double rate, const Vector& x, Vector& f, Matrix& F) {
    f(i) -= rate * (x(i) - x(other));
    F(i, i) -= rate;
    F(i, other) += rate;
  }

  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    const double M_hot = theta(kMHot) / static_cast<double>(cells_);
    const double M_cold = theta(kMCold) / static_cast<double>(cells_);
    const double UA = theta(kUA) / static_cast<double>(cells_);
    for (Index i = 0; i < cells_; ++i) {
      const Index hot = i;
      const Index cold = cells_ + i;
      const Index next = counter() ? (i + 1 < cells_ ? cold + 1 : -1) : (i > 0 ? cold - 1 : -1);
      stream(hot, i > 0 ? hot - 1 : -1, kHotIn, kHotFlow, M_hot, x, u, f, F, G);
      stream(cold, next, kColdIn, kColdFlow, M_cold, x, u, f, F, G);
      exchange(hot, cold, UA / (M_hot * theta(kCpHot)), x, f, F);
      exchange(cold, hot, UA / (M_cold * theta(kCpCold)), x, f, F);
    }
  }
  [[nodiscard]] double output(std::size_t which, const Vector& x, const Vector&, Matrix& C, Matrix&,
                              Index row) const override {
    Index state = cells_ - 1;
    if (which == 1) state = counter() ? cells_ : 2 * cells_ - 1;
    C(row, state) = 1.0;
    return x(state);
  }

  Index cells_;
};

}  // namespace

const Template kHeatExchanger{"heat_exchanger",
                              "Two streams on both sides of a wall, with their flows",
                              false,
                              parameters,
                              check,
                              signals,
                              make_dynamics<HeatExchanger>};

}  // namespace twinkeeper::model
