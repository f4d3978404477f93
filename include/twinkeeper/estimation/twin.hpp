// Twin: one fixed step of a digital twin, from a frame to state, innovation and mode.
//
//   ŷ = C x(k|k−1) + D u(k)    ν = y − ŷ    Σ = C P Cᵀ + R    test ratio = ν_i² / (g² Σ_ii)
//   (state, covariance and gain as in kalman_filter.hpp; everything outside is absolute, x_op, u_op, y_op added)
//
//   symbol      shape  unit     meaning
//   g           –      –        gate in standard deviations; without one no row is rejected and ratios are told for 5
//   W           rows   –        fresh, not bad, and not fed through D by a bad or stand-in input: the rows of nis
//   V           rows   –        W without the rejected ones and those of a sensor that is left out: the rows that are
//                               fused
//
// Inputs: limited to min…max first (`uncertain`, `saturated`); one that is not finite keeps its last value (at first:
// the operating point) and is bad. A bad input, or one older than its max_age for which on_stale found a stand-in,
// still drives the state, but the rows it feeds through D are not fused: their innovation is told, their test ratio is
// NaN. A saturated input, and one whose last good value is within max_age though newer samples were bad, feed rows.
// With foh (model/hold.hpp) the filter's state is z, all that is told is x. Last, validity_watch.hpp judges the step.
// Dead time: an input reaches the state and the rows it feeds later (input_delay.hpp); what is told of it is the
// present. A model of a nonlinear template is linearised at each step
// (step_linearisation.hpp), its start and what is usual in the long run come from the linearisation at the operating
// point. State limits project x(k|k), never P; the prediction goes on from the projected state.
//
// Gate: all decisions fall before the first update. A row of W with a ratio above 1 is rejected: `bad`, reason `spike`,
// not fused. A spell of rejections lasts from the first one to the next pass. When it has lasted gate_timeout, the
// other mapped rows decide once for the whole spell, each with one vote:
//   agrees     it has passed since the spell began, and is in no spell of gate_timeout itself
//   dissents   its own spell has lasted gate_timeout, and it has been rejected since this one began
//   abstains   it has not been heard, or is isolated or left out
// More agree than dissent, and P was usual when the spell began (the mode was not `converging`; after an outage the
// machine may have moved): the sensor is at fault, its row is isolated: rejected until it passes by itself. That is
// also the second chance of a row that is right: where no other row shows the state, P grows by Q until what is
// measured could have come about. Else, also if nobody else is heard, the machine is not where the model thinks: the
// row is followed, fused whatever its ratio (above 1: `uncertain`, `spike`), and P(k+1|k) += f G with the f that
// explains the innovation, max ν_i² / C_i G C_iᵀ ≤ 1e12 over the followed rows with a ratio above 1, but no state's σ
// beyond 0.9 of its limit below; at most 10 times until no spell of gate_timeout is left. G = Σ_{j<N} Aʲ Q Aʲᵀ of the
// machine's own states at the operating point is what process noise does to them in about gate_timeout (N: the power of
// two from its steps on), so that sensors with a lag show it. The mode is `converging` until P is usual again. With a
// wide P anything passes, so while it is not usual a pass ends a spell that has its verdict only where the row's own
// Σ_ii is no more than 4 × its usual one, or the twin is lost and there is nothing to lose: else an isolated row stays
// out. Two outputs: one rejected alone is isolated, for the other agrees; both rejected are followed.
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
//                 of it: they may take days, and the tests would be held for that long. Again after lost, predict_only,
//                 and when a row is followed.
//   tracking      else
// Augmented states are considered, not estimated (considered_states.hpp), while the mode is degraded, predict_only or
// converging, once a start has come to tracking: what a twin takes for a bias or a disturbance where sensors are missing
// or the machine is not where it thinks would be something else. Trace P is then that of the other states as if these
// were known. Lost, there is nothing to spoil.
// The estimated start is the one that least squares over those steps with the errors' covariance gives, process noise
// included, and P is the covariance of that estimate: the filter itself runs over them, ungated, from standard
// deviations of 1e7 times the best that these steps can tell of a state; augmented states start as the model says, from
// their own. What these steps leave open keeps such a standard deviation (the twin is then lost, until a value comes);
// a state that no mapped output ever shows starts at its limit. An isolated output takes no part while others are
// heard. The patience of an output is max(unfused_limit, 5 × its interval, 10 periods). Innovations form (K and Ry
// alone): the states have no std, trace P and the std are replaced by Σ_ii / Ry_ii, summed, and √Σ_ii.
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
#include "twinkeeper/estimation/validity_watch.hpp"
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
  bool averages = false;                  // outputs may be means of several samples: R_ii is that of one of them
  std::size_t history = 0;                // steps that recall() may take back
};

struct TwinCounters {
  std::uint64_t steps = 0;
  std::uint64_t gated_rows = 0;
  std::uint64_t rolled_back_steps = 0;
};

class Twin {
 private:
  enum class Verdict : std::uint8_t { none, isolated, followed };
  struct RowMemory {                   // what one output remembers from step to step
    std::int64_t rejected_since = -1;  // step of the first rejection of the present spell, −1: none
    std::int64_t last_rejected = -1;   // step
    std::int64_t last_passed = -1;     // step
    std::int64_t last_fused = 0;       // step
    Verdict verdict = Verdict::none;   // on a spell that has lasted gate_timeout
    bool accused = false;              // the twin was sure of itself when the spell began
    bool outvoted = false;             // in the step of the verdict

    template <class Archive>
    void archive(Archive& a) {
      a(rejected_since, last_rejected, last_passed, last_fused, verdict, accused, outvoted);
    }
  };
  struct Course {  // what else a step leaves to the next one
    std::vector<RowMemory> rows;
    std::vector<double> held;  // last usable inputs, absolute
    ValidityWatch::Verdicts outside;
    std::int64_t start_steps = 0;
    std::int64_t start_values = 0;
    double least_spread = 0.0;
    std::int64_t least_spread_step = 0;
    std::int64_t now = 0;
    int widenings = 0;  // since a row is followed
    bool initializing = false;
    bool converged = false;
    bool lost = false;
    bool tracked = false;  // since the start
    bool considering = false;
    TwinCounters counters;

    template <class Archive>
    void archive(Archive& a) {
      a(rows, held, outside, start_steps, start_values, least_spread, least_spread_step, now, widenings, initializing,
        converged, lost, tracked, considering);
      a(counters.steps, counters.gated_rows, counters.rolled_back_steps);
    }
  };

 public:
  struct Memory {  // of the twin before a step, but for the inputs on their way (they take themselves back)
    Course course;
    KalmanFilter::Memory filter;

    template <class Archive>
    void archive(Archive& a) {
      a(course, filter);
    }
  };

  [[nodiscard]] static std::variant<Twin, base::Issues> create(model::StateSpace model, TwinSettings settings);

  // `out` must have the twin's sizes (make_record). Each call is one step of the period; frame.step is only passed on.
  void step(const signals::Frame& frame, TwinStep& out);

  // Between steps. What is remembered can be recalled after up to `history` further steps, and the same steps then give
  // the same bits again. remember() allocates only into a memory that has not been used with this twin before.
  void remember(Memory& memory) const;
  void recall(const Memory& memory);
  // All that the twin remembers, into one of the same model and settings.
  template <class Archive>
  void archive(Archive& a) {
    a(course_, filter_, delay_, doubt_delay_);
  }
  // Of the newest step, unless its mode is `initializing` or it was rolled back.
  void tell(FilterStep& out, bool with_root) const { filter_.tell(out, with_root); }
  // What the next step begins with: x(k+1|k) moved by so much, with this covariance. This allocates.
  void correct(const Eigen::VectorXd& by, const Eigen::MatrixXd& P) { filter_.correct(by, P); }
  // From the next step on the rows of this output are measured and told, but not fused, until another one or none is
  // named. No part of the memory: it is for the caller to name the same one again where steps are taken back
  // (diagnosis/sensor_watch.hpp).
  void leave_out(std::optional<std::size_t> output) { left_out_ = output; }
  // Begins at this state (absolute) with these standard deviations, before the first step.
  void start_at(const Eigen::VectorXd& x, const Eigen::VectorXd& std);
  // Inputs as if they had been given before the first step, absolute; NaN leaves one as it is.
  void hold(std::span<const double> inputs);
  // Begins anew with an estimated start: too much has been missed.
  void begin_anew();
  // What it begins with where nothing else is known: `initial`, or the middle of an estimated start's prior, and the
  // standard deviations, which don't make the twin lost where they have a limit.
  [[nodiscard]] const Eigen::VectorXd& usual_start() const { return usual_start_; }
  [[nodiscard]] const Eigen::VectorXd& usual_start_std() const { return usual_start_std_; }

  [[nodiscard]] TwinStep make_record() const;
  [[nodiscard]] const model::StateSpace& model() const { return model_; }
  [[nodiscard]] const TwinSettings& settings() const { return settings_; }
  [[nodiscard]] const TwinCounters& counters() const { return course_.counters; }
  [[nodiscard]] const KalmanFilter& filter() const { return filter_; }

 private:
  struct Row {
    std::int64_t patience = 0;  // steps
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
  void find_base();
  [[nodiscard]] std::int64_t start_window() const;
  void prepare_gate();
  void prepare_start();
  void begin_start();
  void limit_states();
  void estimate_start(TwinStep& out);
  void await_convergence();
  static void end_spell(RowMemory& row) {
    row.rejected_since = -1;
    row.verdict = Verdict::none;
  }
  [[nodiscard]] bool overdue(const RowMemory& row) const;
  [[nodiscard]] bool others_agree(const RowMemory& row) const;
  [[nodiscard]] bool left_out(const RowMemory& row) const { return left_out_ && &row == &course_.rows[*left_out_]; }
  void hold_votes();
  void decide_gate(TwinStep& out);
  [[nodiscard]] double most_widening() const;
  void follow();
  void note_fused(TwinStep& out);
  [[nodiscard]] bool filter_step(TwinStep& out);
  void roll_back(TwinStep& out);
  [[nodiscard]] Mode decide_mode(TwinStep& out);
  void decide_considering(Mode mode);
  [[nodiscard]] bool is_lost(const TwinStep& out) const;
  [[nodiscard]] double spread(const TwinStep& out);

  model::StateSpace model_;
  TwinSettings settings_;
  model::InputDelay delay_, doubt_delay_;
  KalmanFilter filter_;
  ValidityWatch validity_;
  std::vector<Row> rows_;
  std::vector<std::vector<std::size_t>> feeds_;  // per input: the outputs with D ≠ 0
  std::vector<double> u_, y_;                    // deviations
  std::vector<double> drive_;                    // u as it reaches the machine: what the filter gets
  std::vector<double> doubts_, late_doubts_;     // 1 for an input that makes rows blind; and as it reaches them
  std::vector<double> base_;                     // what makes x of the filter's state: x_op, with foh + Γ₂ δu(k)
  std::vector<std::uint8_t> good_, used_;        // W and V
  std::vector<std::uint8_t> blind_;              // outputs fed by a bad or stand-in input
  Usual usual_;
  Eigen::VectorXd initial_std_, std_limit_, output_std_limit_;
  Eigen::VectorXd start_, start_std_;  // before the first step of a start that is estimated: deviation and its std
  Eigen::VectorXd usual_start_, usual_start_std_;
  std::int64_t gate_timeout_steps_ = 0;
  Eigen::VectorXd movement_;            // diag G
  std::vector<std::uint32_t> samples_;  // per output, of this step; only if there are averages
  std::optional<std::size_t> left_out_;
  double explaining_factor_ = 0.0;  // f of this step, 0: no row is followed with a ratio above 1
  Course course_;
};

}  // namespace twinkeeper::estimation
