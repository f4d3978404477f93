// TwinDiagnosis: what one twin's steps say about its sensors and its process.
//
//   z = ν_i / (s √Σ_ii), cut to ±g      b = Σ_L z / (√L s_L)
//   S⁺ ← min(2h, max(0, S⁺ + b − k))    S⁻ ← min(2h, max(0, S⁻ − b − k))
//   symbol  meaning
//   ν_i     innovation of output i; Σ_ii its variance
//   g       gate (5 if off)
//   s       robust standard deviation of ν_i / √Σ_ii in the regime at hand; 1 where it is not calibrated
//   L, s_L  rows in a block, so that b is nearly white, and the standard deviation of Σ_L z / √L; 1 where not calibrated
//   k, h    drift and limit of a CUSUM; the cap at 2h bounds the time to clear to about (2h − h/2)/k blocks
//
//   id                          kind     test
//   <twin>.<signal>.<reason>    sensor   the reason acquisition gave (not_finite, error_value, out_of_range,
//                                        rate_of_change, stuck) for an output or an input with a tag. Of an output with
//                                        a MotionTest stuck also by what the twin expects, until the value changes
//   <twin>.<output>.gate        sensor   a jump of one sensor: rejected for on_delay without a break, its CUSUM below
//                                        h/2 at the first rejection, and no other output departing. An isolated row
//                                        (twin.hpp) counts as rejected as long as it is told as `spike`
//   <twin>.<output>.cusum       process  S⁺ or S⁻ > h for on_delay, off below h/2 for off_delay; zero as soon as the
//                                        shift is over (cusum.hpp). One residual cannot
//                                        tell a change of the process from a biased sensor: ambiguous_with names it
//   <twin>.<output>.slow_drift  process  the same with a smaller k and a larger h: shifts below 0.8 standard deviations
//   <twin>.<output>.noise_up    sensor   variance ratio (variance_ratio.hpp) above its limit, and that of no other output
//   <twin>.<output>.noise_down  sensor   below its lower limit; only where the regime is calibrated, as written noise
//                                        levels are guesses and mostly too large
//   <twin>.nis                  process  windowed NIS (windowed_nis.hpp) of all outputs above its limit, and no sum of
//                                        one output above h/2, or that for half a window
//   Slow_drift, noise and nis clear at half of what their limit is above (below) the value expected.
//   <twin>.model                model    mean NIS or an autocorrelation outside of its calibrated band (model_watch.hpp)
//                                        for model.after of one regime, block after block, until a block is within it.
//                                        While another alarm stands its steps count for nothing
//
//   <twin>.<state>.deviation    sensor   a bias, or
//                               process  a disturbance or parameter that is an augmented state is further from what is
//                                        usual than its limit and than 5 of its own standard deviations for on_delay;
//                                        off at half of both
//
// What a twin takes over into an augmented state its residuals no longer show. So while one of these states has departed
// by 2 of its standard deviations, and by what would move a residual by half of one, from what it was when nothing had
// been wrong for gate_timeout + off_delay, until it is back within 1 or a third of the farthest, gate, cusum, slow_drift
// and nis alarms that stand do not clear, and its own is not raised beside them. All this only while the mode is
// tracking; else these alarms stay as they are.
//
// Rows that take part: measured in this step, not bad by a reason (a rejection is the gate's own), not fed by a bad
// input, in the modes tracking, degraded, predict_only, where the model is valid, and if the twin has regimes in one
// that is settled. Else the sums are held; they begin at zero when rows take part again, when the regime changes, when
// a reason of the output clears, and when a reason explains them.
//
// Limits are those of the regime's calibration. A regime without one in a model that has some takes those of the tests;
// calibrated() says which it is.
//
// One cause, one alarm:
//  - slow_drift, noise_up, noise_down and nis speak only where nothing else does: while an alarm of the output stands or
//    waits for its delay, or one that explains it by the rules below, or another of these four stands (for nis: any but an
//    old sensor alarm of a reason), their sums and windows are empty and begin anew after it. A crossing of a CUSUM
//    while one of these stands joins it.
//  - While a cusum alarm of the twin stands, crossings of other outputs join it (tags, `changed`).
//  - While a sensor alarm of another signal stands, raised at most gate_timeout + off_delay ago, they join it: its
//    wrong values have bent the state. While the condition of such an alarm waits for its delay, they wait.
//  - A reason on output i drops what is pending on i. When its alarm is raised, other reason alarms of i, a gate alarm
//    of i, and a cusum alarm of i that began after the value stopped changing (stuck) or after the first bad sample are
//    cleared at once, with caused_by.
//  - timeout, exception, no_match and stale are alarms of the device, not of the twin: an alarm whose signal is not
//    heard stays as it is.
//
// Cause (twin_isolation.cpp), only with an isolation and a record of the steps: when a gate, cusum, slow_drift or nis
// alarm is due, fault_isolation.hpp ranks what explains the innovations. What it finds goes into hypotheses, onset,
// magnitude and message; ambiguous_with lists what can't be told from the best, now or ever. If sensors are the cause
// with kSure, the alarm is of kind sensor and test `glr`, and a cusum alarm is that of the sensor at fault. A CUSUM above
// h/2 is a warning: kLookAfter steps later the cause is looked for, then after twice as many, and so on; if its
// statistic is kDecisive, the alarm is raised at once: a bias that the twin soon takes over leaves a mark that no CUSUM
// waits for. A cause must account for half of what the output that asks has shown: in a model that does not fit, what
// explains the innovations best may be elsewhere. While the alarm stands, the cause is looked for again whenever there
// are twice as many steps since the onset as the last time, as long as they are all remembered, and a `changed` tells
// what has become better known.
// What becomes of the sensor itself is none of this class's business: sensor_watch.hpp.
//
// Delays are those of the settings; stuck has none but its own time. A jump needs three rejections at least.
// Onset: last zero of the sum that fired; first rejection; first bad step; for stuck, since when the value is the same.
// Nominal false alarms of white Gaussian innovations, delays left out: the sums, 2 / ARL per block with
// ARL = (e^{2kb} − 2kb − 1) / (2k²), b = h + 1.166; gate, the chance that independent rejections fill on_delay; nis and
// noise, 10⁻⁸ per step, an upper bound, as windows overlap, or what calibration has found.
//
// Errors: none; a step of another shape than the setup breaks an invariant (abort). Thread rule: one thread.
// Allocation: evaluate() none while no event is due.
// Source: Page, Biometrika 41 (1954); Siegmund, Sequential Analysis (1985), for the ARL with its correction 1.166.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/fault_isolation.hpp"
#include "twinkeeper/diagnosis/model_watch.hpp"
#include "twinkeeper/diagnosis/settings.hpp"
#include "twinkeeper/diagnosis/trend_ring.hpp"
#include "twinkeeper/diagnosis/twin_limits.hpp"
#include "twinkeeper/diagnosis/variance_ratio.hpp"
#include "twinkeeper/diagnosis/windowed_nis.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::diagnosis {

// When a value that stays the same is stuck, although noise and resolution alone would allow it: the twin has expected it
// to move by 3 max(√Σ_ii, resolution) meanwhile.
struct MotionTest {
  double resolution = 0.0;
  int samples = 10;  // that are the same, at least
};

struct SignalSetup {
  std::string name;  // of the model's input or output
  std::string unit;
  std::string tag;            // "<device>.<register>"; empty: a constant input or a virtual output, never an alarm
  bool tells_reasons = true;  // false: another twin uses the tag, too, and tells what acquisition has found about it
  std::optional<MotionTest> motion = {};  // of an output
};

// An augmented state (model/augmentation.hpp).
struct AugmentedSetup {
  std::size_t state = 0;  // index
  std::string name;
  std::string unit;
  model::AugmentKind kind = model::AugmentKind::sensor_bias;
  std::string of;                 // the tag or the name of the output, input or parameter
  std::vector<std::string> tags;  // of its alarm
  double usual = 0.0;             // what it begins with
  double limit = 0.0;             // of the deviation from it
  // model::augmented_effects()
  double effect = std::numeric_limits<double>::infinity();
};

struct TwinDiagnosisSetup {
  std::string twin;
  std::vector<SignalSetup> inputs;   // model's order
  std::vector<SignalSetup> outputs;  // model's order
  DiagnosisSettings settings;
  base::Duration period{};
  std::vector<std::string> regimes = {};  // names, in the order of TwinStep::regime
  std::vector<AugmentedSetup> augmented = {};
};

struct IsolationSetup {
  FaultIsolation isolation;
  std::vector<SignalSetup> states;  // model's order; tags don't matter
  std::vector<bool> dispensable;    // per output: the model is detectable without it
};

// The steps up to the one that is judged, which is that of tick `tick`.
struct Evidence {
  const FaultRecord* record = nullptr;
  std::int64_t tick = 0;
};

class TwinDiagnosis {
 public:
  explicit TwinDiagnosis(TwinDiagnosisSetup setup);

  void isolate_with(IsolationSetup isolation) {
    isolation_.emplace(std::move(isolation));
    take_limits();
  }

  // Appends the events of this step to `out`. Without a record nothing is isolated.
  void evaluate(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out, const Evidence& evidence = {});

  [[nodiscard]] const AlarmBook& alarms() const { return book_; }
  [[nodiscard]] AlarmBook& alarms() { return book_; }  // for an operator's orders
  [[nodiscard]] const TwoSidedCusum& cusum(std::size_t output) const { return outputs_[output].cusum; }
  [[nodiscard]] const TwoSidedCusum& slow_drift(std::size_t output) const { return outputs_[output].slow; }
  [[nodiscard]] const VarianceRatio& noise(std::size_t output) const { return outputs_[output].noise; }
  [[nodiscard]] const WindowedNis& nis() const { return nis_; }
  // Whether the limits of a regime (−1: of a twin without regimes) were calibrated.
  [[nodiscard]] bool calibrated(int regime) const { return limits_.of(regime).calibration >= 0; }

  [[nodiscard]] const TwinLimits& all_limits() const { return limits_; }

  // Into one of the same setup.
  template <class Archive>
  void archive(Archive& a) {
    a(book_, inputs_, outputs_, augmented_, quiet_since_, nis_, nis_over_since_, watch_, testing_, regime_);
    a(evidence_begins_, looks_);
    a(finer_);
    FaultIsolation::Progress progress;
    if (isolation_) progress = isolation_->isolation.progress();
    a(progress);
    if constexpr (Archive::kReading) {
      take_limits();
      if (isolation_) isolation_->isolation.recall(progress);
    }
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
    AlarmHandle slow_drift = 0, noise_up = 0, noise_down = 0;
    TwoSidedCusum cusum, slow;
    BlockMean block;
    VarianceRatio noise;
    TrendRing trend;
    bool measured = false;  // the row takes part in this step
    double z = 0.0;         // with what; NaN: it does not
    bool restart = false;   // its sensor was faulty: the CUSUM begins anew with the next row
    bool jump = false;      // the rejections without a break began while all was quiet
    int rejections = 0;     // without a break
    std::optional<base::Instant> rejected_since;
    std::optional<base::Instant> over_since;  // the CUSUM is above its limit
    std::optional<base::Instant> slow_over_since, noise_over_since;
    std::optional<AlarmHandle> joined;               // another alarm that this output's crossing belongs to
    bool stands_still = false;                       // though the twin has expected it to move
    int same = 0;                                    // samples that are the same
    double expected_low = 0.0, expected_high = 0.0;  // since the value is the same

    void begin_sums_anew() {
      cusum.reset();
      slow.reset();
      block.reset();
      over_since.reset();
      slow_over_since.reset();
    }

    template <class Archive>
    void archive(Archive& a) {
      Signal::archive(a);
      a(cusum, slow, block, noise, trend, measured, restart, jump, rejections, rejected_since, over_since);
      a(slow_over_since, noise_over_since, joined, stands_still, same, expected_low, expected_high);
    }
  };

  struct Augmented {
    AugmentedSetup setup;
    AlarmHandle alarm = 0;
    double before = 0.0;    // its value when nothing was wrong last
    bool departed = false;  // from there
    double farthest = 0.0;  // since then

    template <class Archive>
    void archive(Archive& a) {
      a(before, departed, farthest);
    }
  };

  [[nodiscard]] const RegimeLimits& limits() const { return limits_.of(regime_); }
  [[nodiscard]] const OutputLimits& limits(std::size_t output) const { return limits().outputs[output]; }
  void take_limits();

  // Reading a step (twin_diagnosis.cpp).
  void read(Signal& signal, double value, signals::Quality quality, signals::Reason reason, base::Instant now) const;
  void look_for_motion(Output& output, const estimation::OutputStep& row, bool testing, base::Instant now) const;
  void take_row(std::size_t index, const estimation::OutputStep& row, bool testing, base::Instant now);
  // Deciding (twin_diagnosis.cpp).
  void evaluate_reasons(Signal& signal, const estimation::OutputStep* row, base::Instant now,
                        std::vector<AnomalyEvent>& out);
  void explain(Output& output, AlarmHandle cause, base::Instant now, std::vector<AnomalyEvent>& out);
  void evaluate_gate(std::size_t index, const estimation::OutputStep& row, base::Instant now,
                     std::vector<AnomalyEvent>& out);
  void evaluate_process(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void raise_or_join(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void release_joined(AlarmHandle alarm);
  [[nodiscard]] bool process_condition(std::size_t index) const;
  [[nodiscard]] bool others_quiet(std::size_t index) const;
  [[nodiscard]] bool sensor_waits_elsewhere(std::size_t index) const;
  [[nodiscard]] std::optional<AlarmHandle> standing_cause(std::size_t index, base::Instant now) const;
  // Where nothing else speaks (twin_slow_tests.cpp).
  void evaluate_slow_tests(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void evaluate_slow_drift(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void evaluate_noise(std::size_t index, const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  void evaluate_nis(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  [[nodiscard]] bool speaks(const Output& output) const;
  [[nodiscard]] bool calm() const;
  [[nodiscard]] bool half_way(std::size_t output) const;
  [[nodiscard]] bool nothing_warns() const;
  [[nodiscard]] bool one_jumps() const;
  [[nodiscard]] bool explained(std::size_t index, base::Instant now) const;
  [[nodiscard]] bool anything_recent(base::Instant now) const;
  // What augmented states have taken over (twin_deviations.cpp).
  void evaluate_augmented(const estimation::TwinStep& step, std::vector<AnomalyEvent>& out);
  [[nodiscard]] AlarmDefinition deviation_definition(const AugmentedSetup& augmented) const;
  void describe_deviation(AnomalyEvent& event, const Augmented& augmented, const estimation::TwinStep& step) const;
  // Of an alarm that only they keep standing: says so, and true.
  [[nodiscard]] bool describe_taken_over(AnomalyEvent& event, AlarmHandle alarm, const std::string& what) const;
  // The model itself (twin_model_watch.cpp).
  void evaluate_model(const estimation::TwinStep& step, bool anew, std::vector<AnomalyEvent>& out);
  [[nodiscard]] std::optional<std::size_t> regime_out_of_band() const;  // by its place among the limits
  void describe_model(AnomalyEvent& event, std::size_t place) const;
  [[nodiscard]] AlarmDefinition model_definition() const;
  // The cause (twin_isolation.cpp).
  struct Finer {  // the alarm whose cause is looked for again
    AlarmHandle alarm = 0;
    bool accuses = false;
    std::int64_t begin = 0;  // tick of the onset, and how many steps since were known the last time
    std::int64_t known = 0;
    std::optional<AnomalyEvent> news;  // what is known better, to be told

    template <class Archive>
    void archive(Archive& a) {
      a(alarm, accuses, begin, known, news);
    }
  };
  void note_evidence(const estimation::TwinStep& step, const Evidence& evidence, bool testing);
  [[nodiscard]] bool isolated();
  [[nodiscard]] const FaultEstimate* cause() const;
  [[nodiscard]] std::optional<std::size_t> early_cause(const estimation::TwinStep& step);
  [[nodiscard]] std::size_t owner_of_cause(std::size_t index) const;
  [[nodiscard]] std::string name_of(const FaultHypothesis& hypothesis) const;
  void look_again();
  void describe_cause(AnomalyEvent& event, AlarmHandle alarm, bool accuses, const std::optional<Departure>& departure);
  static void take_cause(AnomalyEvent& event, const AnomalyEvent& from);
  void say_cause(AnomalyEvent& event, const FaultEstimate& best, bool accuses) const;
  // Wording (twin_alarms.cpp).
  [[nodiscard]] AlarmDefinition gate_definition(const SignalSetup& signal) const;
  [[nodiscard]] AlarmDefinition process_definition(const SignalSetup& signal, const char* test) const;
  [[nodiscard]] AlarmDefinition noise_definition(const SignalSetup& signal, bool up) const;
  [[nodiscard]] AlarmDefinition nis_definition() const;
  void define_alarms();
  void describe_reason(AnomalyEvent& event, AlarmHandle alarm, const Signal& signal,
                       const estimation::OutputStep* row) const;
  void describe_gate(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row);
  void describe_process(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row);
  void describe_slow_drift(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row);
  void describe_shift(AnomalyEvent& event, std::size_t index, const estimation::OutputStep& row,
                      const TwoSidedCusum& sum) const;
  void describe_noise(AnomalyEvent& event, std::size_t index, bool up, const estimation::OutputStep& row) const;
  void describe_nis(AnomalyEvent& event);
  void add_evidence(AnomalyEvent& event) const;
  void add_joined_tags(AnomalyEvent& event, AlarmHandle alarm) const;

  TwinDiagnosisSetup setup_;
  AlarmBook book_;
  std::vector<Signal> inputs_;
  std::vector<Output> outputs_;
  std::vector<Augmented> augmented_;
  std::optional<base::Instant> quiet_since_;
  WindowedNis nis_;
  AlarmHandle nis_alarm_ = 0;
  std::optional<base::Instant> nis_over_since_;
  ModelWatch watch_;
  AlarmHandle model_alarm_ = 0;
  std::vector<double> z_;  // scratch of evaluate_model
  double gate_;            // g
  base::Duration join_window_;
  TwinLimits limits_;
  std::optional<double> gate_false_alarms_per_day_;
  bool testing_ = false;  // in the step before, rows could take part
  int regime_ = -1;       // of the step before
  std::optional<IsolationSetup> isolation_;
  Evidence evidence_;                            // of the step at hand
  std::optional<std::int64_t> evidence_begins_;  // tick of the first step that belongs with it
  LookSchedule looks_;                           // while a CUSUM warns
  std::optional<Finer> finer_;
};

}  // namespace twinkeeper::diagnosis
