// Two tanks with a fault beside their twin, its diagnosis and a record of its own for isolation.
#pragma once

#include <Eigen/Cholesky>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "twinkeeper/diagnosis/fault_isolation.hpp"
#include "twinkeeper/diagnosis/sensor_watch.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::faulty_tanks {

using namespace std::chrono_literals;
using diagnosis::FaultEstimate;
using diagnosis::FaultIsolation;
using diagnosis::FaultKind;
using Eigen::MatrixXd;
using Eigen::VectorXd;

inline constexpr base::Duration kTankPeriod = 1s;

inline model::StateSpace tank_model() {
  model::ModelSettings s;
  s.name = "two_tank";
  s.sample_time = 1.0;
  s.states = {{"level_1", "m", 1.5, 0.0, {}, {}}, {"level_2", "m", 1.0, 0.0, {}, {}}};
  s.inputs = {{"pump", "V", {}, {}, {}}};
  s.outputs = {{"level_1", "m", {}, 0.002, {}}, {"level_2", "m", {}, 0.002, {}}};
  s.A = {{0.97, 0.0}, {0.025, 0.975}};
  s.B = {{0.01}, {0.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.Q = model::Rows{{4e-7, 0.0}, {0.0, 4e-7}};
  auto built = model::build(s, 1.0);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  return std::get<model::StateSpace>(std::move(built));
}

// Noise that is correlated across the outputs and with the process, and an output fed by the input.
inline model::StateSpace correlated_model() {
  model::StateSpace model = tank_model();
  model.A << 0.9, 0.1, -0.2, 0.8;
  model.D << 0.001, 0.0;
  model.R << 4e-6, 1e-6, 1e-6, 3e-6;
  model.Q << 2e-6, 3e-7, 3e-7, 1e-6;
  model.S << 4e-7, 1e-7, -1e-7, 3e-7;
  return model;
}

struct Fault {
  FaultKind kind = FaultKind::bias;
  std::size_t at = 0;
  double size = 0.0;  // of an output per step, of a state per step; of a parameter what it does at the operating point
  int from = 0, to = std::numeric_limits<int>::max();
};

// The plant of the model beside its twin.
class Bench {
 public:
  Bench(const model::StateSpace& model, double noise, double missing, std::uint64_t seed,
        std::optional<double> gate = 5.0)
      : model_(model),
        twin_(make(model, gate)),
        out_(twin_.make_record()),
        record_(model, kTankPeriod, false, 0),
        isolation_(model, std::vector<bool>(static_cast<std::size_t>(model.n_y()), true)),
        diagnosis_(setup(model)),
        watch_(isolation_, dispensable(model), setup(model).settings, diagnosis_.all_limits()),
        engine_(seed),
        noise_(noise),
        missing_(missing),
        x_(*model.initial - model.x_op) {
    std::vector<diagnosis::SignalSetup> states;
    for (const auto& state : model.states) states.push_back({state.name, state.unit, {}});
    diagnosis_.isolate_with({isolation_, std::move(states), dispensable(model)});
  }

  // The plant's augmented states do what the model says, instead of staying where they are.
  void let_wander() { wanders_ = true; }

  // Steps until `end`, with the fault.
  void run(int end, const Fault& fault) {
    const auto p = static_cast<std::size_t>(model_.n_y());
    for (; k_ < end; ++k_) {
      const bool on = k_ >= fault.from && k_ < fault.to;
      const VectorXd u = VectorXd::Constant(model_.n_u(), std::sin(0.05 * k_));
      VectorXd real = u;
      if (on && fault.kind == FaultKind::input) real(static_cast<Eigen::Index>(fault.at)) += fault.size;
      const MatrixXd r = model_.R.llt().matrixL();
      VectorXd y = model_.C * x_ + model_.D * real + noise_ * r * draw(model_.n_y());
      if (on && fault.kind == FaultKind::bias) y(static_cast<Eigen::Index>(fault.at)) += fault.size;
      if (on && fault.kind == FaultKind::drift)
        y(static_cast<Eigen::Index>(fault.at)) += fault.size * (k_ - fault.from);
      const bool changed = on && fault.kind == FaultKind::parameter;
      if (changed) y += isolation_.parameters()[fault.at].c * fault.size;
      seen_ = x_;
      const MatrixXd q = model_.Q.llt().matrixL();
      VectorXd w = noise_ * q * draw(model_.n_x());
      if (!wanders_) w.tail(model_.n_x() - model_.n_own()).setZero();
      x_ = (model_.A * x_ + model_.B * real + w).eval();
      if (changed) x_ += isolation_.parameters()[fault.at].b * fault.size;
      if (on && fault.kind == FaultKind::disturbance) x_(static_cast<Eigen::Index>(fault.at)) += fault.size;

      signals::Frame frame;
      frame.step = k_;
      frame.time = base::Instant{} + k_ * kTankPeriod;
      for (const double value : u) {
        frame.inputs.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
      }
      for (std::size_t i = 0; i < p; ++i) {
        const bool heard = std::uniform_real_distribution<double>()(engine_) >= missing_;
        frame.outputs.push_back(
            {y(static_cast<Eigen::Index>(i)), signals::Quality::good, signals::Reason::none, base::Duration{0}, heard});
      }
      twin_.leave_out(watch_.left_out());
      twin_.step(frame, out_);
      twin_.tell(told_, diagnosis::FaultRecord::keeps_root(k_));
      record_.take(k_, out_, told_);
      if (const auto correction = watch_.take(k_, out_, record_)) {
        twin_.correct(correction->by, correction->P);
        record_.move(k_, correction->by);
      }
      diagnosis_.evaluate(out_, events_, {&record_, k_});
      if (out_.outputs[0].test_ratio > 1.0 || out_.outputs[1].test_ratio > 1.0) ++rejected_;
    }
  }

  // Of the steps from `from` on.
  const std::vector<FaultEstimate>& isolate(std::int64_t from = 0) {
    while (!isolation_.evaluate(record_, from, k_ - 1)) {
    }
    return isolation_.estimates();
  }
  [[nodiscard]] bool names(const FaultEstimate& estimate, const Fault& fault) const {
    const auto& hypothesis = isolation_.hypotheses()[estimate.hypothesis];
    return hypothesis.kind == fault.kind && hypothesis.at == fault.at;
  }
  FaultIsolation& isolation() { return isolation_; }
  [[nodiscard]] const diagnosis::TwinDiagnosis& diagnosis() const { return diagnosis_; }
  [[nodiscard]] std::optional<std::size_t> left_out() const { return watch_.left_out(); }
  [[nodiscard]] const std::vector<diagnosis::AnomalyEvent>& events() const { return events_; }
  [[nodiscard]] const estimation::TwinStep& newest() const { return out_; }
  [[nodiscard]] double true_level(Eigen::Index tank) const {
    return model_.x_op(tank) + seen_(tank);
  }  // at the newest step
  [[nodiscard]] int rejected() const { return rejected_; }

 private:
  // Without one of two sensors an augmented state can't be told from the others.
  static std::vector<bool> dispensable(const model::StateSpace& model) {
    return std::vector<bool>(2, model.augmented.empty());
  }
  static diagnosis::TwinDiagnosisSetup setup(const model::StateSpace& model) {
    diagnosis::TwinDiagnosisSetup setup;
    setup.twin = "tanks";
    setup.period = kTankPeriod;
    setup.settings.on_delay = 3s;
    if (model.augmented.empty()) setup.settings.off_delay = 20s;
    for (const auto& input : model.inputs) setup.inputs.push_back({input.name, input.unit, "plc." + input.name});
    for (const auto& output : model.outputs) setup.outputs.push_back({output.name, output.unit, "plc." + output.name});
    const auto steady = model::steady_state(model);
    REQUIRE(steady.ok());
    const auto effects = model::augmented_effects(model, steady.value(), {0, 1});
    for (std::size_t k = 0; k < model.augmented.size(); ++k) {
      const model::AugmentedState& state = model.augmented[k];
      const std::size_t at = static_cast<std::size_t>(model.n_own()) + k;
      setup.augmented.push_back({at,
                                 model.states[at].name,
                                 model.states[at].unit,
                                 state.kind,
                                 "plc." + state.of,
                                 {"plc." + state.of},
                                 state.initial,
                                 state.deviation_limit});
    }
    return setup;
  }
  static estimation::Twin make(const model::StateSpace& model, std::optional<double> gate) {
    estimation::TwinSettings settings;
    settings.period = kTankPeriod;
    settings.gate = gate;
    auto created = estimation::Twin::create(model, settings);
    REQUIRE(std::holds_alternative<estimation::Twin>(created));
    return std::get<estimation::Twin>(std::move(created));
  }
  VectorXd draw(Eigen::Index size) {
    return VectorXd::NullaryExpr(size, [this] { return std::normal_distribution<double>()(engine_); });
  }

  model::StateSpace model_;
  estimation::Twin twin_;
  estimation::TwinStep out_;
  estimation::FilterStep told_;
  diagnosis::FaultRecord record_;
  FaultIsolation isolation_;
  diagnosis::TwinDiagnosis diagnosis_;
  diagnosis::SensorWatch watch_;
  std::vector<diagnosis::AnomalyEvent> events_;
  std::mt19937_64 engine_;
  double noise_, missing_;
  VectorXd x_, seen_;
  bool wanders_ = false;
  int k_ = 0, rejected_ = 0;
};

}  // namespace twinkeeper::faulty_tanks
