#include "twinkeeper/diagnosis/model_watch.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::diagnosis {

ModelBlock::ModelBlock(std::size_t n_y, double gate) : outputs_(n_y) {
  caps_.push_back(0.0);
  for (std::size_t dof = 1; dof <= n_y; ++dof) {
    caps_.push_back(estimation::chi_square_quantile(static_cast<std::int64_t>(dof), gate));
  }
}

void ModelBlock::add(const double* z, double nis, int dof) {
  ++steps_;
  if (dof > 0 && static_cast<std::size_t>(dof) < caps_.size() && std::isfinite(nis)) {
    nis_ += std::min(nis, caps_[static_cast<std::size_t>(dof)]);
    dof_ += dof;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    const double value = z[i];
    if (!std::isnan(value)) {
      output.square += value * value;
      ++output.rows;
      if (!std::isnan(output.previous)) {
        output.product += value * output.previous;
        ++output.pairs;
      }
    }
    output.previous = value;
  }
}

void ModelBlock::part() {
  for (Output& output : outputs_) output.previous = std::numeric_limits<double>::quiet_NaN();
}

void ModelBlock::reset() {
  for (Output& output : outputs_) {
    const double previous = output.previous;
    output = {};
    output.previous = previous;
  }
  steps_ = dof_ = 0;
  nis_ = 0.0;
}

double ModelBlock::mean_nis() const {
  return dof_ > 0 ? nis_ / static_cast<double>(dof_) : std::numeric_limits<double>::quiet_NaN();
}

double ModelBlock::autocorrelation(std::size_t output) const {
  const Output& sums = outputs_[output];
  if (sums.pairs < kLeastPairs || !(sums.square > 0.0)) return std::numeric_limits<double>::quiet_NaN();
  return sums.product / static_cast<double>(sums.pairs) / (sums.square / static_cast<double>(sums.rows));
}

ModelWatch::ModelWatch(std::size_t regimes, std::size_t n_y, double gate) {
  Regime regime;
  regime.block = ModelBlock(n_y, gate);
  regimes_.assign(regimes, regime);
}

bool ModelWatch::add(std::size_t place, const ModelBands& bands, const double* z, double nis, int dof,
                     base::Instant time) {
  Regime& regime = regimes_[place];
  if (bands.block <= 0) return false;
  if (regime.block.steps() == 0) regime.begin = time;
  regime.block.add(z, nis, dof);
  if (regime.block.steps() < bands.block) return false;
  std::optional<Outside> outside;
  for (std::size_t i = 0; i < bands.autocorrelation.size() && !outside; ++i) {
    const double r = regime.block.autocorrelation(i);
    if (!bands.autocorrelation[i].holds(r)) outside = Outside{i, r};
  }
  const double mean = regime.block.mean_nis();
  if (!bands.nis.holds(mean)) outside = Outside{std::nullopt, mean};
  if (outside) {
    if (regime.steps_outside == 0) regime.onset = regime.begin;
    regime.steps_outside += regime.block.steps();
    regime.outside = *outside;
  } else {
    regime.steps_outside = 0;
  }
  regime.block.reset();
  return true;
}

void ModelWatch::begin_block_anew(std::size_t place) {
  regimes_[place].block.reset();
  regimes_[place].block.part();
}

}  // namespace twinkeeper::diagnosis
