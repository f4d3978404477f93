// What a twin consists of at run time, from a validated sample to an anomaly: synchroniser, filter, diagnosis. The twin
// thread and the replays hold the same object, so what is replayed is what was live.
//
// Thread rule: one thread. Allocation: step() as Twin::step and TwinDiagnosis::evaluate. A copy goes on by itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "acquisition/frame_synchroniser.hpp"
#include "acquisition/regime_selector.hpp"
#include "acquisition/validator.hpp"
#include "app/plan.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::app {

// By TagIndex: what the samples of each tag are held against.
[[nodiscard]] std::vector<acquisition::TagRules> tag_rules(const Plan& plan);
// By TagIndex: the twins that use it.
[[nodiscard]] std::vector<std::vector<std::size_t>> users_of_tags(const Plan& plan);

class TwinRun {
 public:
  // `regimes`: names and selector, in one order; no names: no regimes.
  TwinRun(estimation::Twin twin, acquisition::FrameSynchroniser synchroniser, diagnosis::TwinDiagnosis diagnosis,
          std::vector<std::string> regimes, acquisition::RegimeSelector selector);

  // `sample` is validated.
  void accept(const signals::Sample& sample) {
    synchroniser_.accept(sample);
    if (!regimes_.empty()) selector_.accept(sample);
  }
  // Closes tick `tick` and appends what it raises or clears to `anomalies`. Ticks may be skipped, and must grow.
  const estimation::TwinStep& step(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies);

  [[nodiscard]] const estimation::TwinStep& newest() const { return step_; }
  // Of the newest step; empty: none.
  [[nodiscard]] std::string_view regime() const {
    return step_.regime < 0 ? std::string_view{} : regimes_[static_cast<std::size_t>(step_.regime)];
  }
  [[nodiscard]] const acquisition::FrameSynchroniser& synchroniser() const { return synchroniser_; }
  [[nodiscard]] const estimation::ConsistencyMonitor& consistency() const { return consistency_; }
  [[nodiscard]] const diagnosis::AlarmBook& alarms() const { return diagnosis_.alarms(); }

 private:
  estimation::Twin twin_;
  acquisition::FrameSynchroniser synchroniser_;
  diagnosis::TwinDiagnosis diagnosis_;
  std::vector<std::string> regimes_;
  acquisition::RegimeSelector selector_;
  estimation::TwinStep step_;
  estimation::ConsistencyMonitor consistency_;
};

// One per twin of the plan; `twins` come from make_twins(plan), tick 0 is at `origin`.
[[nodiscard]] std::vector<TwinRun> make_twin_runs(const Plan& plan, std::vector<estimation::Twin> twins,
                                                  base::Instant origin);

}  // namespace twinkeeper::app
