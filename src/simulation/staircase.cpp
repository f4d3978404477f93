#include "simulation/staircase.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::simulation {
namespace {

constexpr double kTimeConstantsPerStep = 3.0;
constexpr double kShortestStep = 20.0;  // s
constexpr double kLongestStep = 600.0;  // s
constexpr double kShareOfReach = 0.1;   // of an input's way to its nearer limit
constexpr double kShareOfRange = 0.5;   // of a settled state's way to its nearer limit

double reach(double value, const model::Limits& limits) { return std::min(value - limits.min, limits.max - value); }

double dwell_of(const model::StateSpace& model) {
  double slowest = 0.0;
  for (const model::Pole& pole : model::poles(model)) {
    if (std::isfinite(pole.time_constant)) slowest = std::max(slowest, pole.time_constant);
  }
  return std::clamp(kTimeConstantsPerStep * slowest, kShortestStep, kLongestStep);
}

// How far all amplitudes together must shrink for the settled states to stay well inside their limits.
double room(const model::StateSpace& model, const std::vector<double>& amplitudes) {
  model::StateSpace states = model;
  states.C = Eigen::MatrixXd::Identity(model.n_x(), model.n_x());
  states.D = model.foh() ? model.hold_offset : Eigen::MatrixXd(Eigen::MatrixXd::Zero(model.n_x(), model.n_u()));
  const auto gain = model::steady_state_gain(states);
  double factor = 1.0;
  for (Eigen::Index i = 0; gain && i < model.n_x(); ++i) {
    double swing = 0.0;
    for (Eigen::Index j = 0; j < model.n_u(); ++j) {
      swing += std::abs((*gain)(i, j)) * amplitudes[static_cast<std::size_t>(j)];
    }
    const double allowed = kShareOfRange * reach(model.x_op[i], model.states[static_cast<std::size_t>(i)].limits);
    if (swing > allowed) factor = std::min(factor, std::max(0.0, allowed / swing));
  }
  return factor;
}

struct Excitation {
  double middle;
  double amplitude;
};

// An input whose nominal value stands on a limit moves on that limit's inner side.
Excitation excitation_of(double nominal, const model::Limits& limits) {
  nominal = std::min(std::max(nominal, limits.min), limits.max);
  const double way = reach(nominal, limits);
  const double unbounded = nominal == 0.0 ? 1.0 : kShareOfReach * std::abs(nominal);
  if (std::isinf(way)) return {nominal, unbounded};
  if (way > 0.0) return {nominal, kShareOfReach * way};
  const double range = limits.max - limits.min;
  const double amplitude = std::isinf(range) ? unbounded : 0.5 * kShareOfReach * range;
  return {nominal == limits.min ? nominal + amplitude : nominal - amplitude, amplitude};
}

}  // namespace

Staircase::Staircase(double middle, double amplitude, double dwell, base::Random random)
    : middle_(middle), amplitude_(amplitude), dwell_(dwell), random_(random) {}

double Staircase::at(double time) {
  const auto turn = static_cast<std::int64_t>(std::floor(time / dwell_));
  for (; turn_ < turn; ++turn_) {
    const int others = static_cast<int>(random_.uniform() * 4.0);  // 0 … 3: the levels but the present one
    level_ = others - 2 >= level_ ? others - 1 : others - 2;
  }
  return middle_ + 0.5 * amplitude_ * level_;
}

std::vector<Staircase> make_staircases(const model::StateSpace& twin_model, std::uint64_t seed,
                                       const std::string& twin) {
  const model::StateSpace model = model::without_augmentation(twin_model);
  std::vector<double> middles;
  std::vector<double> amplitudes;
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const auto [middle, amplitude] = excitation_of(model.u_op[static_cast<Eigen::Index>(i)], model.inputs[i].limits);
    middles.push_back(middle);
    amplitudes.push_back(amplitude);
  }
  const double factor = room(model, amplitudes);
  const double dwell = dwell_of(model);
  std::vector<Staircase> staircases;
  for (std::size_t i = 0; i < middles.size(); ++i) {
    staircases.emplace_back(middles[i], factor * amplitudes[i], dwell,
                            base::Random(seed, "staircase " + twin + "." + model.inputs[i].name));
  }
  return staircases;
}

}  // namespace twinkeeper::simulation
