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
  states.D = Eigen::MatrixXd::Zero(model.n_x(), model.n_u());
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

}  // namespace

Staircase::Staircase(double nominal, double amplitude, double dwell, Random random)
    : nominal_(nominal), amplitude_(amplitude), dwell_(dwell), random_(random) {}

double Staircase::at(double time) {
  const auto turn = static_cast<std::int64_t>(std::floor(time / dwell_));
  for (; turn_ < turn; ++turn_) {
    const int others = static_cast<int>(random_.uniform() * 4.0);  // 0 … 3: the levels but the present one
    level_ = others - 2 >= level_ ? others - 1 : others - 2;
  }
  return nominal_ + 0.5 * amplitude_ * level_;
}

std::vector<Staircase> make_staircases(const model::StateSpace& model, std::uint64_t seed, const std::string& twin) {
  std::vector<double> nominals;
  std::vector<double> amplitudes;
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const model::Limits& limits = model.inputs[i].limits;
    const double nominal = std::min(std::max(model.u_op[static_cast<Eigen::Index>(i)], limits.min), limits.max);
    const double way = reach(nominal, limits);
    nominals.push_back(nominal);
    amplitudes.push_back(kShareOfReach * (std::isfinite(way) ? way : std::abs(nominal)));
  }
  const double factor = room(model, amplitudes);
  const double dwell = dwell_of(model);
  std::vector<Staircase> staircases;
  for (std::size_t i = 0; i < nominals.size(); ++i) {
    staircases.emplace_back(nominals[i], factor * amplitudes[i], dwell,
                            Random(seed, "staircase " + twin + "." + model.inputs[i].name));
  }
  return staircases;
}

}  // namespace twinkeeper::simulation
