// SensorWatch: which sensor is at fault and not to be fused, so that the estimate does not follow it.
//
// What changes the estimate must follow from the samples, not from when they came. So this is no matter of alarms, which
// are told when they are told: the watch goes with the filter. Where the twin goes back to a tick and steps again, the
// watch goes back with it and decides again, and comes to what it would have decided with the samples in order.
//
//   S        two-sided CUSUM of an output, as twin_diagnosis.hpp has it, with the same limit h
//   warning  S ≥ h/2 of any output. The cause is looked for (fault_isolation.hpp) kLookAfter steps after it began, then
//            after twice as many, and so on
//   out      cause is a bias or a drift of one sensor with kSure, its statistic kDecisive, or kEvidence if the S that
//            warns is above h, accounts for what warns, and the model is detectable without it; one at a time. The twin
//            goes on from the state that the fault is taken out of (FaultIsolation::without), with that sensor measured
//            and told, not fused
//   back     its own S has been below h/2 for off_delay
//
// In steps whose rows take no part (takes_rows), and when the regime changes, all begins anew, but who is out stays out.
// Errors: none. Thread rule: one thread. Allocation: take() none while nothing warns.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/fault_isolation.hpp"
#include "twinkeeper/diagnosis/fault_record.hpp"
#include "twinkeeper/diagnosis/settings.hpp"
#include "twinkeeper/diagnosis/twin_limits.hpp"
#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::diagnosis {

// Whether what a step has measured may be held against the model.
[[nodiscard]] bool takes_rows(const estimation::TwinStep& step);

class SensorWatch {
 private:
  struct Row {
    TwoSidedCusum sum;
    BlockMean block;
    std::optional<base::Instant> quiet_since;  // S < h/2

    template <class Archive>
    void archive(Archive& a) {
      a(sum, block, quiet_since);
    }
  };

 public:
  struct Memory {  // of the watch before a step
    std::vector<Row> rows;
    std::optional<std::int64_t> from;  // tick of the first step that belongs with the newest
    int regime = -1;
    LookSchedule looks;
    std::optional<std::size_t> out;
    FaultIsolation::Progress progress;

    template <class Archive>
    void archive(Archive& a) {
      a(rows, from, regime, looks, out, progress);
    }
  };

  // `dispensable`: per output, the model is detectable without it.
  SensorWatch(FaultIsolation isolation, std::vector<bool> dispensable, const DiagnosisSettings& settings,
              TwinLimits limits);

  // Not to be fused in the next step.
  [[nodiscard]] std::optional<std::size_t> left_out() const { return memory_.out; }
  // After step `k`, which `record` holds. What the twin's state is to be corrected by, if a sensor is left out from now
  // on.
  [[nodiscard]] std::optional<FaultIsolation::Correction> take(std::int64_t k, const estimation::TwinStep& step,
                                                               const FaultRecord& record);

  void remember(Memory& memory) const;
  void recall(const Memory& memory);
  template <class Archive>
  void archive(Archive& a) {
    memory_.progress = isolation_.progress();
    a(memory_);
    if constexpr (Archive::kReading) recall(Memory(memory_));
  }

 private:
  void begin_anew(const estimation::TwinStep& step);
  void take_rows_of(const estimation::TwinStep& step);
  [[nodiscard]] double limit(std::size_t output) const { return limits_.of(memory_.regime).outputs[output].cusum; }
  // The output whose S warns most.
  [[nodiscard]] std::optional<std::size_t> warning() const;

  FaultIsolation isolation_;
  std::vector<bool> dispensable_;
  double gate_;
  base::Duration off_delay_;
  TwinLimits limits_;
  Memory memory_;
};

}  // namespace twinkeeper::diagnosis
