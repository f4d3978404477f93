// A twin that follows a simulated plant of one input and one output for a while.
#pragma once

#include <functional>

#include "simulation/plant.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::test {

inline constexpr int kStepsBesidePlant = 20'000;

// Ungated, period 100 ms. `drive` changes u before each step, `look` is called after it; x of the plant is then the one
// that the step is about.
inline void run_beside(simulation::Plant& plant, const model::StateSpace& model, Eigen::VectorXd u,
                       const std::function<void(int, Eigen::VectorXd&)>& drive,
                       const std::function<void(const estimation::TwinStep&)>& look) {
  estimation::TwinSettings settings;
  settings.period = std::chrono::milliseconds{100};
  settings.gate.reset();
  auto twin = std::get<estimation::Twin>(estimation::Twin::create(model, settings));
  estimation::TwinStep step = twin.make_record();
  for (int k = 0; k < kStepsBesidePlant; ++k) {
    drive(k, u);
    const Eigen::VectorXd& y = plant.measure(u);
    signals::Frame frame;
    frame.step = k;
    frame.inputs.push_back({u(0), signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    frame.outputs.push_back({y(0), signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    twin.step(frame, step);
    look(step);
    plant.advance(Eigen::VectorXd::Zero(plant.x().size()));
  }
}

}  // namespace twinkeeper::test
