// What a twin consists of at run time, from a validated sample to an anomaly: synchroniser, filter, diagnosis. The twin
// thread and the replays hold the same object, so what is replayed is what was live.
//
// Late samples: a sample of one of the last `history` ticks is fused where it belongs. The filter goes back to that
// tick and steps again from there, so the estimate is that of samples in order, bit for bit. The regime of a tick is
// decided once, when the tick is closed; which sensor is left out is decided anew (diagnosis/sensor_watch.hpp).
// Diagnosis and consistency look at ticks only `lateness` behind the newest: what is told of these stays told, whatever
// comes after.
//
// Thread rule: one thread. Allocation: step() as Twin::step and TwinDiagnosis::evaluate. A copy goes on by itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "acquisition/frame_synchroniser.hpp"
#include "acquisition/regime_selector.hpp"
#include "acquisition/validator.hpp"
#include "app/plan.hpp"
#include "twinkeeper/diagnosis/sensor_watch.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::app {

// By TagIndex: what the samples of each tag are held against.
[[nodiscard]] std::vector<acquisition::TagRules> tag_rules(const Plan& plan);
// Of each twin: the tags it uses, each once, in order.
[[nodiscard]] std::vector<std::vector<signals::TagIndex>> tags_of_twins(const Plan& plan);
// By TagIndex: the twins that use it.
[[nodiscard]] std::vector<std::vector<std::size_t>> users_of_tags(const Plan& plan);

class TwinRun {
 public:
  // `watch`: absent where nothing is isolated. `regimes`: names and selector, in one order; no names: no regimes. The
  // history is that of the twin's settings and
  // the synchroniser's, which must agree; `lateness` in ticks, not above it.
  TwinRun(estimation::Twin twin, acquisition::FrameSynchroniser synchroniser, diagnosis::TwinDiagnosis diagnosis,
          std::optional<diagnosis::SensorWatch> watch, std::vector<std::string> regimes,
          acquisition::RegimeSelector selector, std::int64_t lateness);

  // `sample` is validated.
  void accept(const signals::Sample& sample) {
    synchroniser_.accept(sample);
    if (!regimes_.empty()) selector_.accept(sample);
  }
  // Closes tick `tick`, after whatever late samples have changed before it, and appends what the ticks that have become
  // final raise or clear to `anomalies`. Must grow; ticks left out are stepped on the way.
  const estimation::TwinStep& step(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies);
  // Gives up every tick before the next one: the twin begins anew there, instead of stepping through them.
  void give_up();
  // Steps again from where late samples have changed something, if they have: what step() begins with.
  void revise();

  [[nodiscard]] const estimation::TwinStep& newest() const { return past_[newest_].step; }
  // Of a tick that is not further back than the history; null: further, or never stepped.
  [[nodiscard]] const estimation::TwinStep* at(std::int64_t tick) const;
  // Of a step; empty: none.
  [[nodiscard]] std::string_view regime_of(const estimation::TwinStep& step) const {
    return step.regime < 0 ? std::string_view{} : regimes_[static_cast<std::size_t>(step.regime)];
  }
  [[nodiscard]] std::uint64_t steps_revised() const { return steps_revised_; }

  // All that the run remembers but for its history, into one of the same plan: it goes on as if nothing had been, with
  // its own ticks, of which `first` is then called 0 from outside. Only a run that has begun.
  void count_from(std::int64_t first) { first_tick_ = first; }
  [[nodiscard]] bool begun() const { return tick_ != kNever; }
  [[nodiscard]] std::int64_t own_tick() const { return tick_; }  // the newest
  estimation::Twin& twin() { return twin_; }
  template <class Archive>
  void archive(Archive& a) {
    a(twin_, synchroniser_, diagnosis_, selector_, tick_, judged_, consistency_);
    if (isolation_) {
      isolation_->record.archive(a, lateness_);
      a(isolation_->watch);
    }
    // Steps that diagnosis has not seen yet, and the newest in any case.
    const std::int64_t begin = std::min(judged_ + 1, tick_);
    a.require(tick_ != kNever && tick_ - begin < static_cast<std::int64_t>(past_.size()));
    for (std::int64_t tick = begin; tick <= tick_ && a.ok(); ++tick) {
      a(past_[place(tick)].step, past_[place(tick)].regime_holds_tests);
    }
    if constexpr (Archive::kReading) {
      begin_ = begin;
      newest_ = place(tick_);
    }
  }
  [[nodiscard]] const acquisition::FrameSynchroniser& synchroniser() const { return synchroniser_; }
  [[nodiscard]] const estimation::ConsistencyMonitor& consistency() const { return consistency_; }
  [[nodiscard]] const diagnosis::AlarmBook& alarms() const { return diagnosis_.alarms(); }
  [[nodiscard]] diagnosis::AlarmBook& alarms() { return diagnosis_.alarms(); }

 private:
  struct Past {
    estimation::Twin::Memory before;
    diagnosis::SensorWatch::Memory watch_before;
    estimation::TwinStep step;
    bool regime_holds_tests = false;
  };
  struct Isolation {
    diagnosis::FaultRecord record;
    diagnosis::SensorWatch watch;
    estimation::FilterStep filter;  // of the newest step
  };
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

  [[nodiscard]] std::size_t place(std::int64_t tick) const;
  void close(std::int64_t tick);
  void remember(Past& past) const;
  void step_twin(std::int64_t tick, const signals::Frame& frame);
  void judge_until(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies);

  estimation::Twin twin_;
  acquisition::FrameSynchroniser synchroniser_;
  diagnosis::TwinDiagnosis diagnosis_;
  std::vector<std::string> regimes_;
  acquisition::RegimeSelector selector_;
  std::optional<Isolation> isolation_;
  std::int64_t history_, lateness_;
  std::vector<Past> past_;        // ring, by tick
  std::size_t newest_ = 0;        // in past_
  std::int64_t tick_ = kNever;    // the newest, own count
  std::int64_t first_tick_ = 0;   // what is 0 from outside
  std::int64_t begin_ = kNever;   // the first
  std::int64_t judged_ = kNever;  // the newest that diagnosis has seen
  std::uint64_t steps_revised_ = 0;
  estimation::ConsistencyMonitor consistency_;
};

// "sha256:…" of each twin, over all that its memory stands for: its configuration, and what its tags are read from.
[[nodiscard]] std::vector<std::string> setup_hashes(const Plan& plan);

// A checkpoint's bytes are what validation remembers of the twin's tags, and the run.
template <class Archive>
void archive(const std::vector<signals::TagIndex>& tags, acquisition::Validator& validator, Archive& a) {
  for (const signals::TagIndex tag : tags) validator.archive(tag, a);
}

// One per twin of the plan; `twins` come from make_twins(plan), tick 0 is at `origin`.
[[nodiscard]] std::vector<TwinRun> make_twin_runs(const Plan& plan, std::vector<estimation::Twin> twins,
                                                  base::Instant origin);
// That of one of them, as it starts; the plan is known to have no faults.
[[nodiscard]] TwinRun make_twin_run(const Plan& plan, std::size_t twin, base::Instant origin);

}  // namespace twinkeeper::app
