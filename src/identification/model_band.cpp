#include "identification/model_band.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/diagnosis/model_watch.hpp"

namespace twinkeeper::identification {
namespace {

constexpr std::int64_t kBlocksWanted = 10, kLeastBlocks = 8, kLeastBlock = 60;
constexpr double kStds = 4.0, kBeyondLargest = 1.3;

diagnosis::Band band_of(const std::vector<double>& values, double std_of_matched) {
  double mean = 0.0;
  for (const double value : values) mean += value;
  mean /= static_cast<double>(values.size());
  double square = 0.0, largest = 0.0;
  for (const double value : values) {
    square += (value - mean) * (value - mean);
    largest = std::max(largest, std::abs(value - mean));
  }
  const double std = std::max(std::sqrt(square / static_cast<double>(values.size() - 1)), std_of_matched);
  const double half = std::max(kStds * std, kBeyondLargest * largest);
  return {mean - half, mean + half};
}

}  // namespace

void find_model_bands(const RegimeRows& rows, const CalibrationRequest& request, diagnosis::RegimeCalibration& limits) {
  const double gate = request.settings.gate_of_tests();
  const std::size_t n_y = rows.z.size();
  std::vector<diagnosis::OutputCalibration*> outputs(n_y, nullptr);
  for (std::size_t i = 0; i < n_y; ++i) {
    for (auto& output : limits.outputs) {
      if (output.name == request.outputs[i]) outputs[i] = &output;
    }
  }
  std::int64_t steps = 0;
  double dofs = 0.0;
  for (const NisRow& row : rows.nis) {
    steps += row.dof > 0 ? 1 : 0;
    dofs += row.dof;
  }
  const double hour = 3600.0 / std::chrono::duration<double>(request.period).count();
  const std::int64_t length =
      std::clamp(steps / kBlocksWanted, kLeastBlock, std::max(kLeastBlock, static_cast<std::int64_t>(hour)));
  if (steps / length < kLeastBlocks) return;

  diagnosis::ModelBlock block(n_y, gate);
  std::vector<double> means;
  std::vector<std::vector<double>> correlations(n_y);
  std::vector<double> z(n_y);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows.nis[row].dof <= 0) {
      block.part();
      continue;
    }
    for (std::size_t i = 0; i < n_y; ++i) {
      z[i] = outputs[i] == nullptr ? std::nan("") : std::clamp(rows.z[i][row] / outputs[i]->scale, -gate, gate);
    }
    block.add(z.data(), rows.nis[row].nis, rows.nis[row].dof);
    if (block.steps() < length) continue;
    means.push_back(block.mean_nis());
    for (std::size_t i = 0; i < n_y; ++i) {
      const double r = block.autocorrelation(i);
      if (!std::isnan(r)) correlations[i].push_back(r);
    }
    block.reset();
  }
  double mean = 0.0;
  for (const double value : means) mean += value / static_cast<double>(means.size());
  const double dofs_of_block = dofs / static_cast<double>(steps) * static_cast<double>(length);
  diagnosis::Band nis = band_of(means, mean * std::sqrt(2.0 / dofs_of_block));
  limits.model_block = static_cast<int>(length);
  limits.nis_mean_low = std::max(0.0, nis.low);
  limits.nis_mean_high = nis.high * request.widening * request.widening;
  for (std::size_t i = 0; i < n_y; ++i) {
    if (outputs[i] == nullptr || static_cast<std::int64_t>(correlations[i].size()) < kLeastBlocks) continue;
    const diagnosis::Band band = band_of(correlations[i], 1.0 / std::sqrt(static_cast<double>(length)));
    outputs[i]->autocorrelation_low = std::max(-1.0, band.low);
    outputs[i]->autocorrelation_high = std::min(1.0, band.high);
  }
}

}  // namespace twinkeeper::identification
