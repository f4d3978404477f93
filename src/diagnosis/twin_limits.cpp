#include "twinkeeper/diagnosis/twin_limits.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/diagnosis/cusum.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kChanceOfUsualLimits = 1e-8;
constexpr double kSecondsOfDay = 86400.0;

RegimeLimits make_limits(const DiagnosisSettings& settings, double steps_per_day,
                         const std::vector<std::string>& outputs, const std::string& regime) {
  RegimeLimits limits;
  const auto& known = settings.calibration.regimes;
  const auto found = std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.name == regime; });
  if (settings.calibration.given() && found != known.end()) {
    limits.calibration = static_cast<int>(found - known.begin());
  }
  const bool calibrated = limits.calibration >= 0;
  limits.nis = calibrated ? std::optional{found->nis} : settings.nis.limit;
  limits.nis_per_day = calibrated ? std::optional{found->nis_nominal_per_day} : kChanceOfUsualLimits * steps_per_day;
  if (!calibrated && settings.nis.limit) limits.nis_per_day.reset();
  if (calibrated) {
    limits.bands.block = found->model_block;
    limits.bands.nis = {found->nis_mean_low, found->nis_mean_high};
  }
  for (const std::string& output : outputs) {
    OutputLimits one;
    double long_run = 1.0;
    Band band{-1.0, 1.0};  // what is not calibrated is not watched
    one.cusum = settings.cusum.limit;
    one.slow_drift = settings.slow_drift.limit;
    one.noise_high = settings.noise.high;
    if (settings.noise.high == NoiseTestSettings{}.high && settings.noise.window == NoiseTestSettings{}.window) {
      one.noise_per_day = kChanceOfUsualLimits * steps_per_day;
    }
    if (calibrated) {
      const auto of = std::find_if(found->outputs.begin(), found->outputs.end(),
                                   [&](const OutputCalibration& o) { return o.name == output; });
      if (of != found->outputs.end()) {
        one.scale = of->scale;
        one.block = of->block;
        one.block_factor = 1.0 / (std::sqrt(static_cast<double>(of->block)) * of->block_scale);
        long_run = of->scale * of->block_scale;
        one.cusum = of->cusum;
        one.slow_drift = of->slow_drift;
        one.noise_low = of->noise_low;
        one.noise_high = of->noise_high;
        one.noise_per_day = found->noise_nominal_per_day;
        band = {of->autocorrelation_low, of->autocorrelation_high};
      }
    }
    const double blocks_per_day = steps_per_day / one.block;
    if (settings.cusum.enabled) {
      one.cusum_per_day = 2.0 * blocks_per_day / cusum_run_length(settings.cusum.drift, one.cusum);
    }
    one.slow_per_day = 2.0 * blocks_per_day / cusum_run_length(settings.slow_drift.drift, one.slow_drift);
    limits.outputs.push_back(one);
    limits.long_run.push_back(long_run);
    limits.bands.autocorrelation.push_back(band);
  }
  return limits;
}

}  // namespace

TwinLimits::TwinLimits(const DiagnosisSettings& settings, base::Duration period,
                       const std::vector<std::string>& outputs, const std::vector<std::string>& regimes) {
  const double steps_per_day = kSecondsOfDay / std::chrono::duration<double>(period).count();
  limits_.push_back(make_limits(settings, steps_per_day, outputs, regimes.empty() ? kWholeLog : ""));
  for (const std::string& regime : regimes) limits_.push_back(make_limits(settings, steps_per_day, outputs, regime));
}

}  // namespace twinkeeper::diagnosis
