// A digital twin inside your own program: no daemon, no YAML, no broker.
//
// An oven is heated by 200 W. Its air and its wall are measured once a second; for 20 s the air's sensor says nothing,
// and for 20 s the wall's sensor says 8 degC too much. The twin follows through both and says which is which.
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/state_space.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Duration kPeriod = 1s;

// 1. The model, as it would stand in a model file: physics in continuous time, SI units, deviations from an operating
// point (here: everything at 20 degC, heater off).
//
//   C_air  dT_air/dt  = P − G_in (T_air − T_wall)
//   C_wall dT_wall/dt = G_in (T_air − T_wall) − G_out (T_wall − 20 degC)
model::ModelSettings oven() {
  constexpr double kAir = 500.0, kWall = 4000.0;  // J/K
  constexpr double kInner = 10.0, kOuter = 2.0;   // W/K
  model::ModelSettings model;
  model.name = "oven";
  model.time = model::TimeBase::continuous;
  // name, unit, initial, its standard deviation, min, max. Limits keep the estimate physical and tell a lost twin.
  model.states = {{"air", "degC", 20.0, 2.0, -40.0, 400.0}, {"wall", "degC", 20.0, 2.0, -40.0, 400.0}};
  // name, unit, nominal, min, max: what is beyond the limits is cut off before it is used.
  model.inputs = {{"heater", "W", 0.0, 0.0, 500.0}};
  // name, unit, nominal, standard deviation of the sensor's noise, resolution. R follows from these.
  model.outputs = {{"air", "degC", 20.0, 0.2, {}}, {"wall", "degC", 20.0, 0.5, {}}};
  model.A = {{-kInner / kAir, kInner / kAir}, {kInner / kWall, -(kInner + kOuter) / kWall}};
  model.B = {{1.0 / kAir}, {0.0}};
  model.C = {{1.0, 0.0}, {0.0, 1.0}};
  // Spectral density, degC²/s: how far the equations may be wrong. Too small, and the twin trusts itself too much.
  model.noise.Q = model::Rows{{1e-3, 0.0}, {0.0, 1e-4}};
  model.operating_point = {{20.0, 20.0}, {0.0}, {20.0, 20.0}};
  return model;
}

// Everything that is wrong comes at once, each fault with the path of the key it concerns.
int report(const base::Issues& issues) {
  for (const auto& issue : issues) {
    std::fprintf(stderr, "%s: %s; accepted: %s\n", issue.path.c_str(), issue.what.c_str(), issue.accepted.c_str());
  }
  return 1;
}

// Stands for the plant and its sensors: the model's own equations with noise on what is measured.
class Plant {
 public:
  explicit Plant(const model::StateSpace& space) : space_(space), x_(Eigen::VectorXd::Zero(space.n_x())) {}

  std::array<std::optional<double>, 2> measure(std::int64_t k) {
    std::array<std::optional<double>, 2> y;
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = truth(static_cast<Eigen::Index>(i)) + space_.noise_std[i] * noise();
    }
    if (k >= 60 && k < 80) y[0].reset();
    if (k >= 140 && k < 160) *y[1] += 8.0;
    return y;
  }
  void heat(double watt) { x_ = (space_.A * x_ + space_.B * Eigen::VectorXd::Constant(1, watt)).eval(); }
  double truth(Eigen::Index i) const { return 20.0 + x_(i); }

 private:
  double noise() {  // nearly normal, variance 1, and the same with every standard library
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(engine_() >> 11) * 0x1p-53;
    return sum;
  }
  const model::StateSpace& space_;
  Eigen::VectorXd x_;
  std::mt19937_64 engine_{7};
};

void print(const estimation::TwinStep& step) {
  std::printf("%4lld s  %-11s", static_cast<long long>(step.step), std::string(to_string(step.mode)).c_str());
  for (std::size_t i = 0; i < step.x.size(); ++i) std::printf("  %7.2f ± %.2f", step.x[i], step.std[i]);
  for (const auto& row : step.outputs) {
    // NaN: nothing was measured. An innovation that was rejected is told, but not used.
    if (std::isnan(row.innovation)) {
      std::printf("        -");
    } else {
      std::printf("  %c%+6.2f", row.fused ? ' ' : '!', row.innovation);
    }
  }
  std::printf("\n");
}

void print(const diagnosis::AnomalyEvent& event) {
  std::printf("%4.0f s  %s %s (%s): %s\n", std::chrono::duration<double>(event.time.time_since_epoch()).count(),
              std::string(to_string(event.event)).c_str(), event.id.c_str(), std::string(to_string(event.kind)).c_str(),
              event.message.c_str());
}

}  // namespace

int main() {
  // 2. Build once. build() discretises with the period and checks everything that linear algebra can check; create()
  // asks whether this model can be followed with these outputs.
  auto built = model::build(oven(), std::chrono::duration<double>(kPeriod).count());
  if (const auto* issues = std::get_if<base::Issues>(&built)) return report(*issues);
  const auto& space = std::get<model::StateSpace>(built);

  diagnosis::DiagnosisSettings limits;
  limits.gate = 5.0;           // standard deviations: what is further off is not used
  limits.gate_timeout = 1min;  // a sensor that is off for longer is believed again
  limits.on_delay = 3s;        // an alarm comes when its condition has held for this long …
  limits.off_delay = 10s;      // … and goes when it has been gone for this long

  estimation::TwinSettings settings;
  settings.period = kPeriod;
  settings.gate = limits.gate;
  settings.gate_timeout = limits.gate_timeout;
  auto created = estimation::Twin::create(space, settings);
  if (const auto* issues = std::get_if<base::Issues>(&created)) return report(*issues);
  auto& twin = std::get<estimation::Twin>(created);

  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = "oven";
  setup.inputs = {{"heater", "W", "plc.heater"}};  // name, unit, and the tag that alarms shall name
  setup.outputs = {{"air", "degC", "plc.air"}, {"wall", "degC", "plc.wall"}};
  setup.settings = limits;
  setup.period = kPeriod;
  diagnosis::TwinDiagnosis diagnosis(setup);

  // Buffers of the right sizes: from here on a step allocates nothing (an event does).
  estimation::TwinStep step = twin.make_record();
  signals::Frame frame;
  frame.inputs.resize(1);
  frame.outputs.resize(2);
  std::vector<diagnosis::AnomalyEvent> events;

  // 3. What a sensor said in this period. A value that is not there is no error: leave it out. A value that you know to
  // be wrong is `bad` with a reason, for example {value, Quality::bad, Reason::error_value, 0s, true}.
  const auto reading = [](std::optional<double> value) -> signals::FrameValue {
    if (!value) return {};  // bad, stale, not fresh
    return {*value, signals::Quality::good, signals::Reason::none, 0s, true};
  };

  std::printf("%6s  %-11s  %14s  %14s  %s\n", "time", "mode", "air / degC", "wall / degC", "innovations");
  const base::Instant start{};
  Plant plant(space);
  for (std::int64_t k = 0; k < 200; ++k) {
    // 4. One frame per period, also when nothing was measured: time passes for the twin by its steps alone.
    const auto y = plant.measure(k);
    frame.step = k;
    frame.time = base::grid_point(start, kPeriod, k);
    frame.inputs[0] = reading(200.0);
    frame.outputs[0] = reading(y[0]);
    frame.outputs[1] = reading(y[1]);

    // 5. One step: state with standard deviation, innovations, mode; then what they say about sensors and process.
    twin.step(frame, step);
    events.clear();
    diagnosis.evaluate(step, events);

    if (k % 20 == 0 || k == 79 || k == 140) print(step);
    for (const auto& event : events) print(event);
    plant.heat(200.0);
  }
  std::printf("truth at the end: %.2f and %.2f degC, %zu alarms standing\n", plant.truth(0), plant.truth(1),
              diagnosis.alarms().active_count());
}
