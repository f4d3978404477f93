// Everything of a simulation but the sockets and the waiting: plants, staircases, registers and faults over time.
//
// A step of the twins due at one instant: their plants go on with the inputs held so far, then inputs are read, then
// outputs measured, so u(k), y(k) and x(k) belong together. A fault's edges are instants of their own, handled before
// the steps of the same instant; a disturbance acts on the steps that begin while it is active. A drift goes on every
// 0.1 simulated seconds, and with the steps.
//
// Thread rule: one thread. Time is what the caller says it is.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <map>
#include <vector>

#include "simulation/plant.hpp"
#include "simulation/register_map.hpp"
#include "simulation/settings.hpp"
#include "simulation/staircase.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::simulation {

class Scenario {
 public:
  // `settings` must have passed check().
  Scenario(const Settings& settings, signals::EventSink& events);
  // Whether twins, tags, faults and speed fit each other; an error says what does not.
  [[nodiscard]] static base::Status check(const Settings& settings);

  // Steps fall on whole multiples of the period after `now`; simulated time 0 is the earliest of them.
  void start(base::Instant now);
  // The next thing to do; far in the future when there is nothing. Only after start().
  [[nodiscard]] base::Instant next() const;
  // Does what is due at next(). Returns one true state per twin, nullptr for those that did not step.
  const std::vector<const Eigen::VectorXd*>& advance();
  // Gives up the steps before `now`, leaving the plants where they are.
  void skip_to(base::Instant now);

  // Whether a dropout of this device is active; changes only in advance() and skip_to().
  [[nodiscard]] bool is_out(std::size_t device) const { return out_[device] > 0; }
  // Grows with every change of is_out().
  [[nodiscard]] std::uint64_t dropout_changes() const { return dropout_changes_; }
  [[nodiscard]] const RegisterMap& registers() const { return registers_; }
  [[nodiscard]] base::Instant origin() const { return origin_; }
  [[nodiscard]] const Eigen::VectorXd& truth(std::size_t twin) const { return runners_[twin].plant.x(); }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  struct Runner {
    Plant plant;
    base::Duration period;  // of the clock: the twin's divided by the speed
    std::vector<InputSource> inputs;
    std::vector<std::optional<signals::TagIndex>> outputs;
    std::vector<Staircase*> driven;  // per input: its staircase if this twin drives it
    Eigen::VectorXd u, disturbance, noise_factors;
    base::Instant first;
    std::int64_t k = 0;
    [[nodiscard]] base::Instant due() const { return base::grid_point(first, period, k); }
  };
  struct Edge {
    base::Instant at;
    std::size_t fault;
    bool begins;
  };
  void apply(const Edge& edge);
  void offset(signals::TagIndex tag, base::Instant now);  // all that bias and drift add to the served value
  void go_on_with_drifts(base::Instant now);
  void read_noise_factors(Runner& runner);
  void read_inputs(Runner& runner, double time);

  std::vector<Fault> faults_;
  double speed_;
  signals::EventSink& events_;
  RegisterMap registers_;
  std::map<signals::TagIndex, Staircase> staircases_;
  std::vector<Runner> runners_;
  std::vector<Edge> edges_;  // ascending
  std::size_t next_edge_ = 0;
  base::Instant origin_;
  base::Instant next_drift_ = base::Instant::max();  // when drifts go on
  std::vector<char> active_;                         // per fault
  std::vector<int> out_;                             // per device: active dropouts
  std::vector<int> stuck_;                           // per tag
  std::vector<const Eigen::VectorXd*> truth_;
  std::uint64_t dropout_changes_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace twinkeeper::simulation
