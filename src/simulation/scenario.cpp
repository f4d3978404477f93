#include "simulation/scenario.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

namespace twinkeeper::simulation {
namespace {

constexpr base::Duration kShortestPeriod = std::chrono::microseconds{100};
constexpr base::Instant kNever = base::Instant::max();
constexpr double kDriftEvery = 0.1;  // simulated s

base::Duration on_clock(double simulated_seconds, double speed) {
  constexpr double kCentury = 3.2e9;  // s; keeps the nanoseconds far from their end
  return base::Duration{std::llround(std::min(simulated_seconds / speed, kCentury) * 1e9)};
}

base::Error misfit(const std::string& what) { return {base::ErrorCode::invalid_argument, "simulation: " + what}; }

}  // namespace

base::Status Scenario::check(const Settings& settings) {
  if (!std::isfinite(settings.speed) || settings.speed <= 0.0) {
    return misfit("speed must be a finite number above 0");
  }
  std::size_t tags = 0;
  for (const auto& device : settings.devices) tags += device.registers.size();
  for (const TwinSettings& twin : settings.twins) {
    const std::string name = "twin '" + twin.name + "': ";
    if (twin.inputs.size() != twin.model.inputs.size() || twin.outputs.size() != twin.model.outputs.size()) {
      return misfit(name + "inputs and outputs do not fit the model");
    }
    const auto unknown = [&](const std::optional<signals::TagIndex>& tag) { return tag && *tag >= tags; };
    if (std::any_of(twin.outputs.begin(), twin.outputs.end(), unknown) ||
        std::any_of(twin.inputs.begin(), twin.inputs.end(), [&](const auto& input) { return unknown(input.tag); })) {
      return misfit(name + "a tag is beyond the devices' registers");
    }
    if (on_clock(std::chrono::duration<double>(twin.period).count(), settings.speed) < kShortestPeriod) {
      return misfit(name + "at this speed a step has less than 100us; accepted: a lower speed or a longer period");
    }
  }
  for (const Fault& fault : settings.faults) {
    const bool fits =
        fault.kind == FaultKind::disturbance
            ? fault.twin < settings.twins.size() && fault.state < settings.twins[fault.twin].model.states.size()
        : fault.kind == FaultKind::parameter ? fault.twin < settings.twins.size()
        : fault.kind == FaultKind::dropout   ? fault.device < settings.devices.size()
                                             : fault.tag < tags;
    if (!fits) return misfit("fault '" + fault.spec + "' was not parsed for these devices and twins");
  }
  return base::Success{};
}

Scenario::Scenario(const Settings& settings, signals::EventSink& events)
    : faults_(settings.faults),
      speed_(settings.speed),
      events_(events),
      registers_(settings.devices, settings.constants),
      active_(settings.faults.size(), 0),
      out_(settings.devices.size(), 0),
      stuck_(registers_.tag_count(), 0),
      truth_(settings.twins.size(), nullptr) {
  std::set<signals::TagIndex> measured;
  for (const TwinSettings& twin : settings.twins) {
    for (const auto& tag : twin.outputs) {
      if (tag) measured.insert(*tag);
    }
  }
  std::set<signals::TagIndex> shown;
  for (const TwinSettings& twin : settings.twins) {
    // Of twins of one and the same machine the first is the plant; the others only look at it.
    std::vector<std::optional<signals::TagIndex>> outputs = twin.outputs;
    for (auto& tag : outputs) {
      if (tag && !shown.insert(*tag).second) tag.reset();
    }
    Runner runner{Plant(twin.model, base::Random(settings.seed, "noise " + twin.name)),
                  on_clock(std::chrono::duration<double>(twin.period).count(), settings.speed),
                  twin.inputs,
                  std::move(outputs),
                  std::vector<Staircase*>(twin.inputs.size(), nullptr),
                  twin.model.u_op,
                  Eigen::VectorXd::Zero(twin.model.n_x()),
                  Eigen::VectorXd::Ones(twin.model.n_y()),
                  base::Instant{},
                  0};
    auto staircases = make_staircases(twin.model, settings.seed, twin.name);
    for (std::size_t i = 0; i < twin.inputs.size(); ++i) {
      const auto& tag = twin.inputs[i].tag;
      if (!tag || measured.contains(*tag)) continue;
      const auto [place, is_new] = staircases_.emplace(*tag, std::move(staircases[i]));
      if (is_new) runner.driven[i] = &place->second;
    }
    runners_.push_back(std::move(runner));
  }
}

void Scenario::start(base::Instant now) {
  origin_ = runners_.empty() ? now : kNever;
  for (Runner& runner : runners_) {
    const std::int64_t since = now.time_since_epoch().count();
    const std::int64_t period = runner.period.count();
    const std::int64_t quotient = since / period;
    const std::int64_t turns = quotient + (since % period > 0 ? 1 : 0);
    runner.first = base::Instant{base::Duration{turns * period}};
    runner.k = 0;
    origin_ = std::min(origin_, runner.first);
  }
  for (std::size_t f = 0; f < faults_.size(); ++f) {
    edges_.push_back({origin_ + on_clock(faults_[f].onset, speed_), f, true});
    if (std::isinf(faults_[f].duration)) continue;
    edges_.push_back({origin_ + on_clock(faults_[f].onset + faults_[f].duration, speed_), f, false});
  }
  // Ends before beginnings, so that one fault may follow another on the same tag without a gap.
  std::stable_sort(edges_.begin(), edges_.end(),
                   [](const Edge& a, const Edge& b) { return std::pair(a.at, a.begins) < std::pair(b.at, b.begins); });
}

base::Instant Scenario::next() const {
  base::Instant earliest = next_edge_ < edges_.size() ? std::min(edges_[next_edge_].at, next_drift_) : next_drift_;
  for (const Runner& runner : runners_) earliest = std::min(earliest, runner.due());
  return earliest;
}

const std::vector<const Eigen::VectorXd*>& Scenario::advance() {
  const base::Instant now = next();
  std::fill(truth_.begin(), truth_.end(), nullptr);
  if (now == kNever) return truth_;
  // The step that ends now began under the disturbances of its own beginning, so plants go on before the edges.
  for (Runner& runner : runners_) {
    if (runner.due() == now && runner.k > 0) runner.plant.advance(runner.disturbance);
  }
  for (; next_edge_ < edges_.size() && edges_[next_edge_].at <= now; ++next_edge_) apply(edges_[next_edge_]);
  go_on_with_drifts(now);
  const double time = std::chrono::duration<double>(now - origin_).count() * speed_;
  for (std::size_t t = 0; t < runners_.size(); ++t) {
    Runner& runner = runners_[t];
    if (runner.due() != now) continue;
    runner.disturbance.setZero();
    for (std::size_t f = 0; f < faults_.size(); ++f) {
      const Fault& fault = faults_[f];
      if (active_[f] == 0 || fault.kind != FaultKind::disturbance || fault.twin != t) continue;
      runner.disturbance[static_cast<Eigen::Index>(fault.state)] += fault.value;
    }
    read_inputs(runner, time);
    read_noise_factors(runner);
    const Eigen::VectorXd& y = runner.plant.measure(runner.u, runner.noise_factors);
    for (std::size_t i = 0; i < runner.outputs.size(); ++i) {
      if (runner.outputs[i]) registers_.set(*runner.outputs[i], y[static_cast<Eigen::Index>(i)]);
    }
    truth_[t] = &runner.plant.x();
    ++runner.k;
    ++steps_;
  }
  return truth_;
}

void Scenario::read_inputs(Runner& runner, double time) {
  for (std::size_t i = 0; i < runner.inputs.size(); ++i) {
    const InputSource& input = runner.inputs[i];
    double value = input.constant;
    if (runner.driven[i] != nullptr) {
      // The plant gets what the register can say: a command comes in the resolution of its converter.
      value = registers_.set(*input.tag, runner.driven[i]->at(time));
    } else if (input.tag) {
      value = registers_.value(*input.tag);
    }
    const model::Limits& limits = runner.plant.model().inputs[i].limits;
    runner.u[static_cast<Eigen::Index>(i)] = std::min(std::max(value, limits.min), limits.max);
  }
}

void Scenario::read_noise_factors(Runner& runner) {
  for (std::size_t i = 0; i < runner.outputs.size(); ++i) {
    double factor = 1.0;
    for (std::size_t f = 0; f < faults_.size(); ++f) {
      const bool acts = active_[f] != 0 && faults_[f].kind == FaultKind::noise && runner.outputs[i] == faults_[f].tag;
      if (acts) factor *= faults_[f].value;
    }
    runner.noise_factors[static_cast<Eigen::Index>(i)] = factor;
  }
}

void Scenario::offset(signals::TagIndex tag, base::Instant now) {
  double sum = 0.0;
  for (std::size_t f = 0; f < faults_.size(); ++f) {
    const Fault& fault = faults_[f];
    if (active_[f] == 0 || fault.tag != tag) continue;
    if (fault.kind == FaultKind::bias) sum += fault.value;
    if (fault.kind == FaultKind::drift) {
      const base::Instant onset = origin_ + on_clock(fault.onset, speed_);
      sum += fault.value * std::chrono::duration<double>(now - onset).count() * speed_;
    }
  }
  registers_.set_bias(tag, sum);
}

void Scenario::go_on_with_drifts(base::Instant now) {
  next_drift_ = kNever;
  for (std::size_t f = 0; f < faults_.size(); ++f) {
    if (active_[f] == 0 || faults_[f].kind != FaultKind::drift) continue;
    offset(faults_[f].tag, now);
    next_drift_ = now + std::max(kShortestPeriod, on_clock(kDriftEvery, speed_));
  }
}

void Scenario::skip_to(base::Instant now) {
  for (Runner& runner : runners_) {
    if (runner.due() >= now) continue;
    const std::int64_t turns = ((now - runner.due()).count() + runner.period.count() - 1) / runner.period.count();
    runner.k += turns;
    skipped_ += static_cast<std::uint64_t>(turns);
  }
  for (; next_edge_ < edges_.size() && edges_[next_edge_].at < now; ++next_edge_) apply(edges_[next_edge_]);
  go_on_with_drifts(now);
}

void Scenario::apply(const Edge& edge) {
  const Fault& fault = faults_[edge.fault];
  const int change = edge.begins ? 1 : -1;
  active_[edge.fault] = edge.begins ? 1 : 0;
  switch (fault.kind) {
    case FaultKind::disturbance:
    case FaultKind::noise: break;  // act on the steps
    case FaultKind::stuck:
      stuck_[fault.tag] += change;
      registers_.set_stuck(fault.tag, stuck_[fault.tag] > 0);
      break;
    case FaultKind::bias:
    case FaultKind::drift: offset(fault.tag, edge.at); break;
    case FaultKind::dropout:
      out_[fault.device] += change;
      ++dropout_changes_;
      break;
    case FaultKind::parameter:
      if (auto status = runners_[fault.twin].plant.set_parameter(fault.parameter, fault.value); !status) {
        events_.raise({signals::EventLevel::error, "simulation", "fault_refused", status.error().message()});
        return;
      }
      break;
  }
  events_.raise({signals::EventLevel::info, "simulation", edge.begins ? "fault_started" : "fault_ended",
                 "fault " + fault.spec + (edge.begins ? " begins" : " ends")});
}

}  // namespace twinkeeper::simulation
