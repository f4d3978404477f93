// Twin: one fixed step of a digital twin, from a frame to state, innovation and mode.
//
//   ŷ = C x(k|k−1) + D u(k)    ν = y − ŷ    Σ = C P Cᵀ + R    test ratio = ν_i² / (g² Σ_ii)
//   (state, covariance and gain as in kalman_filter.hpp; everything outside is absolute, x_op, u_op, y_op added)
//
//   symbol      shape  unit     meaning
//   g           –      –        gate in standard deviations; without one no row is rejected and ratios are told for 5
//   W           rows   –        fresh, not bad, and not fed through D by a bad or stand-in input: the rows of nis
//   V           rows   –        W without the rejected ones: the rows that are fused
//
// Inputs: limited to min…max first (`uncertain`, `saturated`); one that is not finite keeps its last value (at first:
// the operating point) and is bad. A bad input, or one older than its max_age for which on_stale found a stand-in,
// still drives the state, but the rows it feeds through D are not fused: their innovation is told, their test ratio is
// NaN. A saturated input, and one whose last good value is within max_age though newer samples were bad, feed rows.
// Dead time: an input reaches the state and the rows it feeds later (input_delay.hpp); what is told of it is the
// present. Gate: all decisions fall before the first update. A rejected row is `bad`, reason `spike`, fused = false.
// Once a row has been rejected for gate_timeout without passing in between, it is fused again (`uncertain`, reason
// `spike`, ratio as it is) until it passes: either the plant has moved, then the twin follows, or the sensor lies,
// which diagnosis has told long before. A model of a nonlinear template is linearised at each step
// (step_linearisation.hpp), its start and what is usual in the long run come from the linearisation at the operating
// point. State limits project x(k|k), never P; the prediction goes on from the projected state.
//
// Modes, the first that holds:
//   lost          a step gave a number that is not finite, or put a state with min and max further than ten of its
//                 ranges from the middle of them (told is the state before it, x(k|k−1), and nothing is fused;
//                 the next step starts `initializing` anew), or a standard deviation is beyond its limit: half the
//                 range of a state with min and max, else 1000 × the steady-state value; never below twice the initial
//                 one. Left when it is back within.
//   initializing  no `initial`, or after a roll-back: least squares for the state over max(2 n_x, 10) steps from the
//                 first, longer until n_x values were usable; states, ŷ, ν, std, nis are NaN there
//   predict_only  no output fused for longer than its patience
//   degraded      a mapped output not fused for longer than its patience, others are
//   converging    until trace P(k|k) ≤ 2 × its steady-state value (with the mapped outputs), or, for sensors slower
//                 than the period, until it has not fallen by another 1 % for 100 steps. Augmented states are left out
//                 of it: they may take days, and the tests would be held for that long. Again after lost, predict_only.
//   tracking      else
// The estimated start is the one that least squares over those steps with the errors' covariance gives, process noise
// included, and P is the covariance of that estimate: the filter itself runs over them, ungated, from standard
// deviations of 1e7 times the best that these steps can tell of a state; augmented states start as the model says, from
// their own. What they leave open keeps such a standard
// deviation (the twin is then lost, until a value comes); a state that no mapped output ever shows starts at its limit.
// The patience of an output is max(unfused_limit, 5 × its interval, 10 periods). Innovations form (K and Ry alone): the
// states have no std, trace P and the std are replaced by Σ_ii / Ry_ii, summed, and √Σ_ii.
//
// Errors: create() returns every issue that keeps the model from being followed; augmented states that the mapped
// outputs cannot tell apart are such. step() has none.
// Thread rule: one thread at a time. Allocation: step() allocates, locks and logs nothing.
// Source: Kalman (1960); gate and its time-out after PX4's test ratio.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/model/input_delay.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/signals/frame.hpp"

namespace twinkeeper::estimation {

struct TwinSettings {
  std::optional<double> gate = 5.0;  // g; absent: off
  base::Duration gate_timeout = std::chrono::seconds{30};
  base::Duration period{};                                 // of the twin; must be the model's sample time
  base::Duration unfused_limit = std::chrono::seconds{5};  // of an output's patience
  std::vector<bool> mapped;                                // per output, false: virtual; empty: all are measured
  std::vector<base::Duration> intervals;  // per output: expected time between samples; empty: the period
};

struct TwinCounters {
  std::uint64_t steps = 0;
  std::uint64_t gated_rows = 0;
  std::uint64_t rolled_back_steps = 0;
};

class Twin {
 public:
  [[nodiscard]] static std::variant<Twin, base::Issues> create(model::StateSpace model, TwinSettings settings);

  // `out` must have the twin's sizes (make_record). Each call is one step of the period; frame.step is only passed on.
  void step(const signals::Frame& frame, TwinStep& out);

  [[nodiscard]] TwinStep make_record() const;
  [[nodiscard]] const model::StateSpace& model() const { return model_; }
  [[nodiscard]] const TwinSettings& settings() const { return settings_; }
  [[nodiscard]] const TwinCounters& counters() const { return counters_; }
  [[nodiscard]] const KalmanFilter& filter() const { return filter_; }

 private:
  struct Row {                         // what one output remembers from step to step
    std::int64_t rejected_since = -1;  // step of the first rejection without a pass since, −1: none
    std::int64_t last_fused = 0;       // step
    std::int64_t patience = 0;         // steps
    bool mapped = true;
  };
  struct Usual {                 // what the filter comes to in the long run
    Eigen::VectorXd std;         // √diag P(k|k), infinite where there is no steady state
    Eigen::VectorXd output_std;  // √diag Σ
    double spread;  // trace P(k|k) of the machine's own states, or the number of outputs in the innovations form;
                    // infinite as above
  };
  Twin(model::StateSpace model, TwinSettings settings, Usual usual, Eigen::VectorXd initial_std);

  void take_inputs(const signals::Frame& frame, TwinStep& out);
  void take_outputs(const signals::Frame& frame, TwinStep& out);
  [[nodiscard]] std::int64_t start_window() const;
  void prepare_start();
  void begin_start();
  void limit_states();
  void estimate_start(TwinStep& out);
  void await_convergence();
  void decide_gate(TwinStep& out);
  void remember(TwinStep& out);
  [[nodiscard]] bool filter_step(TwinStep& out);
  void roll_back(TwinStep& out);
  [[nodiscard]] Mode decide_mode(TwinStep& out);
  [[nodiscard]] bool is_lost(const TwinStep& out) const;
  [[nodiscard]] double spread(const TwinStep& out) const;

  model::StateSpace model_;
  TwinSettings settings_;
  TwinCounters counters_;
  model::InputDelay delay_, doubt_delay_;
  KalmanFilter filter_;
  std::vector<Row> rows_;
  std::vector<std::vector<std::size_t>> feeds_;  // per input: the outputs with D ≠ 0
  std::vector<double> u_, y_;                    // deviations
  std::vector<double> drive_;                    // u as it reaches the machine: what the filter gets
  std::vector<double> doubts_, late_doubts_;     // 1 for an input that makes rows blind; and as it reaches them
  std::vector<double> held_;                     // last usable inputs, absolute
  std::vector<std::uint8_t> good_, used_;        // W and V
  std::vector<std::uint8_t> blind_;              // outputs fed by a bad or stand-in input
  Usual usual_;
  Eigen::VectorXd initial_std_, std_limit_, output_std_limit_;
  Eigen::VectorXd start_, start_std_;  // before the first step of a start that is estimated: deviation and its std
  std::int64_t start_steps_ = 0;
  std::int64_t start_values_ = 0;
  double least_spread_ = 0.0;
  std::int64_t least_spread_step_ = 0;
  std::int64_t now_ = 0;
  std::int64_t gate_timeout_steps_ = 0;
  bool initializing_ = false;
  bool converged_ = false;
};

}  // namespace twinkeeper::estimation
