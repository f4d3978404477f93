// TwinDiagnosis: what one twin's steps say about its sensors and its process.
//
//   z = ν_i / √Σ_ii, cut to ±g        S⁺ ← min(2h, max(0, S⁺ + z − k))        S⁻ ← min(2h, max(0, S⁻ − z − k))
//   symbol  meaning
//   ν_i     innovation of output i; Σ_ii its variance
//   g       gate (5 if off)
//   k, h    drift and limit of the CUSUM; the cap at 2h bounds the time to clear to about (2h − h/2)/k steps
//
//   id                        kind     test
//   <twin>.<signal>.<reason>  sensor   the reason acquisition gave (not_finite, error_value, out_of_range,
//                                      rate_of_change, stuck) for an output or an input with a tag
//   <twin>.<output>.gate      sensor   a jump of one sensor: rejected for on_delay without a break, its CUSUM below h/2
//                                      at the first rejection, and no other output departing. An isolated row
//                                      (twin.hpp) counts as rejected as long as it is told as `spike`
//   <twin>.<output>.cusum     process  S⁺ or S⁻ > h for on_delay, off below h/2 for off_delay. One residual cannot tell
//                                      a change of the process from a biased sensor: ambiguous_with names the sensor
//
// Rows that take part: measured in this step, not bad by a reason (a rejection is the gate's own), not fed by a bad
// input, in the modes tracking, degraded, predict_only, where the model is valid, and if the twin has regimes in one
// that is settled. Else the sums are held; they begin at zero when rows take part again, when the regime changes, when
// a reason of the output clears, and when a reason explains them.
//
// One cause, one alarm:
//  - While a cusum alarm of the twin stands, crossings of other outputs join it (tags, `changed`).
//  - While a sensor alarm of another signal stands, raised at most gate_timeout + off_delay ago, they join it: its
//    wrong values have bent the state. While the condition of such an alarm waits for its delay, they wait.
//  - A reason on output i drops what is pending on i. When its alarm is raised, other reason alarms of i, a gate alarm
//    of i, and a cusum alarm of i that began after the value stopped changing (stuck) or after the first bad sample are
//    cleared at once, with caused_by.
//  - timeout, exception, no_match and stale are alarms of the device, not of the twin: an alarm whose signal is not
//    heard stays as it is.
//
// Cause (twin_isolation.cpp), only with an isolation and a step's FilterStep: when a gate or cusum alarm is due,
// fault_isolation.hpp ranks what explains the innovations. What it finds goes into hypotheses, onset, magnitude and
// message; ambiguous_with lists what can't be told from the best, now or ever. If sensors are the cause with kSure, the
// alarm is of kind sensor and test `glr`, and it is the alarm of the sensor at fault. Such a sensor is left out of the
// twin until its alarm clears, if the model is detectable without it; one at a time. A CUSUM above h/2 is a warning:
// every kLookEvery steps of it the cause is looked for, and if its statistic is kDecisive, the alarm is raised at once: a
// bias that the twin soon takes over leaves a mark that no CUSUM waits for.
//
// Delays are those of the settings; stuck has none but its own time. A jump needs three rejections at least.
// Onset: last zero of the sum that fired; first rejection; first bad step; for stuck, since when the value is the same.
// Nominal false alarms of white Gaussian innovations, delays of the CUSUM left out: cusum, 2 / ARL per step with
// ARL = (e^{2kb} − 2kb − 1) / (2k²), b = h + 1.166; gate, the chance that independent rejections fill on_delay.
//
// Errors: none; a step of another shape than the setup breaks an invariant (abort). Thread rule: one thread.
// Allocation: evaluate() none while no event is due.
// Source: Page, Biometrika 41 (1954); Siegmund, Sequential Analysis (1985), for the ARL with its correction 1.166.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/fault_isolation.hpp"
#include "twinkeeper/diagnosis/settings.hpp"
#include "twinkeeper/diagnosis/trend_ring.hpp"
#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::diagnosis {

struct SignalSetup {
  std::string name;  // of the model's input or output
  std::string unit;
  std::string tag;            // "<device>.<register>"; empty: a constant input or a virtual output, never an alarm
  bool tells_reasons = true;  // false: another twin uses the tag, too, and tells what acquisition has found about it
};

struct TwinDiagnosisSetup {
  std::string twin;
  std::vector<SignalSetup> inputs;   // model's order
  std::vector<SignalSetup> outputs;  // model's order
  DiagnosisSettings settings;
  base::Duration period{};
};

struct IsolationSetup {
  FaultIsolation isolation;
  std::vector<SignalSetup> states;  // model's order; tags don't matter
  std::vector<bool> dispensable;    // per output: the model is detectable without it
};

class TwinDiagnosis {
 public:
  explicit TwinDiagnosis(TwinDiagnosisSetup setup);

  void isolate_with(IsolationSetup isolation) { isolation_.emplace(std::move(isolation)); }

  // Appends the events of this step to `out`. Without `filter` nothing is isolated.
  void evaluate(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out,
                const estimation::FilterStep* filter = nullptr);

  // The output whose sensor is at fault and not to be fused.
  [[nodiscard]] std::optional<std::size_t> left_out() const {
    return left_out_ ? std::optional<std::size_t>(left_out_->output) : std::nullopt;
  }

  [[nodiscard]] const AlarmBook& alarms() const { return book_; }
  [[nodiscard]] AlarmBook& alarms() { return book_; }  // for an operator's orders
  [[nodiscard]] const TwoSidedCusum& cusum(std::size_t output) const { return outputs_[output].cusum; }

  // Into one of the same setup.
  template <class Archive>
  void archive(Archive& a) {
    a(book_, inputs_, outputs_, testing_, regime_, left_out_, warned_);
  }

 private:
  enum class Health : std::uint8_t { good, faulty, unknown };  // what this step says of the sensor itself

  struct Signal {
    SignalSetup setup;
    std::array<AlarmHandle, 5> reasons{};  // one per sensor reason
    Health health = Health::unknown;
    signals::Reason reason = signals::Reason::none;
    std::optional<base::Instant> faulty_since;
    std::optional<base::Instant> unchanged_since;
    double last_value = 0.0;

    template <class Archive>
    void archive(Archive& a) {
      a(health, reason, faulty_since, unchanged_since, last_value);
    }
  };
  struct Output : Signal {
    AlarmHandle gate = 0;
    AlarmHandle process = 0;
    TwoSidedCusum cusum;
    TrendRing trend;
    bool measured = false;  // the row takes part in this step
    bool restart = false;   // its sensor was faulty: the CUSUM begins anew with the next row
    bool jump = false;      // the rejections without a break began while all was quiet
    int rejections = 0;     // without a break
    std::optional<base::Instant> rejected_since;
    std::optional<base::Instant> over_since;  // the CUSUM is above its limit
    std::optional<AlarmHandle> joined;        // another alarm that this output's crossing belongs to

    template <class Archive>
    void archive(Archive& a) {
      Signal::archive(a);
      a(cusum, trend, measured, restart, jump, rejections, rejected_since, over_since, joined);
    }
  };

  struct LeftOut {
    std::size_t output = 0;
    AlarmHandle alarm = 0;

    template <class Archive>
    void archive(Archive& a) {
      a(output, alarm);
    }
  };

  // Reading a step (twin_diagnosis.cpp).
  void read(Signal& signal, double value, signals::Quality quality, signals::Reason reason, base::Instant now) const;
  void take_row(Output& output, const estimation::OutputStep& row, bool testing, base::Instant now) const;
  // Deciding (twin_diagnosis.cpp).
  void evaluate_reasons(Signal& signal, const estimation::OutputStep* row, base::Instant now,
                        std::vector<AnomalyEvent>& out);
  void explain(Output& output, const std::string& cause, base::Instant now, std::vector<AnomalyEvent>& out);
  void evaluate_gate(std::size_t index, const estimation::OutputStep& row, base::Instant now,
                     std::vector<AnomalyEvent>& out);
  void evaluate_process(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void raise_or_join(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void release_joined(AlarmHandle alarm);
  [[nodiscard]] bool process_condition(std::size_t index) const;
  [[nodiscard]] bool others_quiet(std::size_t index) const;
  [[nodiscard]] bool sensor_waits_elsewhere(std::size_t index) const;
  [[nodiscard]] std::optional<AlarmHandle> standing_cause(std::size_t index, base::Instant now) const;
  // The cause (twin_isolation.cpp).
  void record(const estimation::TwinStep& step, const estimation::FilterStep* filter, bool testing);
  [[nodiscard]] bool isolated();
  [[nodiscard]] std::optional<std::size_t> early_cause(const estimation::TwinStep& step);
  [[nodiscard]] std::size_t owner_of_cause(std::size_t index) const;
  [[nodiscard]] const FaultEstimate* cause() const;
  [[nodiscard]] double sensor_probability(std::optional<std::size_t> output) const;
  [[nodiscard]] std::string name_of(const FaultHypothesis& hypothesis) const;
  void describe_cause(AnomalyEvent& event, std::size_t index, AlarmHandle alarm);
  // Wording (twin_alarms.cpp).
  [[nodiscard]] AlarmDefinition gate_definition(const SignalSetup& signal) const;
  [[nodiscard]] AlarmDefinition process_definition(const SignalSetup& signal) const;
  void define_alarms();
  void describe_reason(AnomalyEvent& event, AlarmHandle alarm, const Signal& signal,
                       const estimation::OutputStep* row) const;
  void describe_gate(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row);
  void describe_process(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row);
  void add_joined_tags(AnomalyEvent& event, AlarmHandle alarm) const;

  TwinDiagnosisSetup setup_;
  AlarmBook book_;
  std::vector<Signal> inputs_;
  std::vector<Output> outputs_;
  double gate_;  // g
  base::Duration join_window_;
  std::optional<double> cusum_false_alarms_per_day_, gate_false_alarms_per_day_;
  bool testing_ = false;  // in the step before, rows could take part
  int regime_ = -1;       // of the step before
  std::optional<IsolationSetup> isolation_;
  std::optional<LeftOut> left_out_;
  int warned_ = 0;  // steps since the cause was looked for, while a CUSUM warns
};

}  // namespace twinkeeper::diagnosis
