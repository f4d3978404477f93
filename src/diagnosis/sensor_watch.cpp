#include "twinkeeper/diagnosis/sensor_watch.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace twinkeeper::diagnosis {
namespace {

using estimation::Mode;
using estimation::TwinStep;

}  // namespace

bool takes_rows(const TwinStep& step) {
  const bool follows = step.mode == Mode::tracking || step.mode == Mode::degraded || step.mode == Mode::predict_only;
  return follows && !step.tests_held;
}

SensorWatch::SensorWatch(FaultIsolation isolation, std::vector<bool> dispensable, const DiagnosisSettings& settings,
                         TwinLimits limits)
    : isolation_(std::move(isolation)),
      dispensable_(std::move(dispensable)),
      gate_(settings.gate_of_tests()),
      off_delay_(settings.off_delay),
      limits_(std::move(limits)) {
  Row row;
  row.sum = TwoSidedCusum(settings.cusum.drift, 2.0 * settings.cusum.limit);
  memory_.rows.assign(dispensable_.size(), row);
}

void SensorWatch::remember(Memory& memory) const {
  memory = memory_;
  memory.progress = isolation_.progress();
}

void SensorWatch::recall(const Memory& memory) {
  memory_ = memory;
  isolation_.weigh(limits_.of(memory.regime).long_run);
  isolation_.recall(memory.progress);
}

void SensorWatch::begin_anew(const TwinStep& step) {
  memory_.from.reset();
  memory_.regime = step.regime;
  memory_.looks.calm();
  isolation_.give_up();
  isolation_.weigh(limits_.of(step.regime).long_run);
  for (std::size_t i = 0; i < memory_.rows.size(); ++i) {
    Row& row = memory_.rows[i];
    row.sum.reset();
    row.sum.set_cap(2.0 * limit(i));
    row.block.reset();
    row.quiet_since.reset();
  }
}

void SensorWatch::take_rows_of(const TwinStep& step) {
  const RegimeLimits& all_limits = limits_.of(memory_.regime);
  for (std::size_t i = 0; i < memory_.rows.size(); ++i) {
    const estimation::OutputStep& told = step.outputs[i];
    if (!std::isfinite(told.innovation) || !std::isfinite(told.test_ratio) || !(told.std > 0.0)) continue;
    Row& row = memory_.rows[i];
    const OutputLimits& limits = all_limits.outputs[i];
    const double z = std::clamp(told.innovation / told.std / limits.scale, -gate_, gate_);
    if (!row.block.add(z, limits.block, step.time)) continue;
    row.sum.add(row.block.sum() * limits.block_factor, row.block.begin());
    if (row.sum.value() >= 0.5 * limits.cusum) {
      row.quiet_since.reset();
    } else if (!row.quiet_since) {
      row.quiet_since = step.time;
    }
  }
}

std::optional<std::size_t> SensorWatch::warning() const {
  std::optional<std::size_t> most;
  const auto share = [&](std::size_t i) { return memory_.rows[i].sum.value() / limit(i); };
  for (std::size_t i = 0; i < memory_.rows.size(); ++i) {
    if (share(i) >= 0.5 && (!most || share(i) > share(*most))) most = i;
  }
  return most;
}

std::optional<FaultIsolation::Correction> SensorWatch::take(std::int64_t k, const TwinStep& step,
                                                            const FaultRecord& record) {
  if (std::find(dispensable_.begin(), dispensable_.end(), true) == dispensable_.end()) return std::nullopt;
  isolation_.rest(k);
  const bool testing = takes_rows(step);
  if (!testing || !memory_.from || step.regime != memory_.regime) {
    begin_anew(step);
    if (!testing) return std::nullopt;
    memory_.from = k;
  }
  take_rows_of(step);
  if (memory_.out) {
    const std::optional<base::Instant>& quiet = memory_.rows[*memory_.out].quiet_since;
    if (quiet && step.time - *quiet >= off_delay_) memory_.out.reset();
    return std::nullopt;
  }
  const std::optional<std::size_t> warns = warning();
  if (!warns) {
    memory_.looks.calm();
    isolation_.give_up();
    return std::nullopt;
  }
  if (!memory_.looks.due() || !isolation_.evaluate(record, *memory_.from, k)) return std::nullopt;
  memory_.looks.looked();

  const FaultEstimate* best = isolation_.cause();
  const TwoSidedCusum& sum = memory_.rows[*warns].sum;
  const bool over = sum.value() >= limit(*warns);
  if (best == nullptr || (!over && best->statistic < FaultIsolation::kDecisive)) return std::nullopt;
  if (!isolation_.accounts_for(*best, {*warns, sum.onset()})) return std::nullopt;
  const FaultHypothesis& fault = isolation_.hypotheses()[best->hypothesis];
  if (!of_sensor(fault.kind) || !dispensable_[fault.at]) return std::nullopt;
  if (isolation_.sensor_probability(fault.at) < FaultIsolation::kSure) return std::nullopt;
  std::optional<FaultIsolation::Correction> correction = isolation_.without(*best, record, k);
  memory_.out = fault.at;
  memory_.rows[fault.at].quiet_since.reset();
  for (std::size_t i = 0; i < memory_.rows.size(); ++i) {  // what the others showed was this
    if (i != fault.at) memory_.rows[i].sum.reset();
  }
  return correction;
}

}  // namespace twinkeeper::diagnosis
