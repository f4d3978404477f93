// The limits that hold in each regime of a twin: its calibration's, or those of the tests. Plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/model_watch.hpp"
#include "twinkeeper/diagnosis/settings.hpp"

namespace twinkeeper::diagnosis {

struct OutputLimits {
  double scale = 1.0, block_factor = 1.0;  // 1 / (√L s_L)
  int block = 1;
  double cusum = 16.0, slow_drift = 28.0;
  double noise_low = 0.0, noise_high = 2.4;                          // low 0: not tested
  std::optional<double> cusum_per_day, slow_per_day, noise_per_day;  // nominal false alarms
};

struct RegimeLimits {
  std::vector<OutputLimits> outputs;
  std::vector<double> long_run;  // by output, s s_L: what sums of innovations are larger by than the model says
  std::optional<double> nis;
  std::optional<double> nis_per_day;
  ModelBands bands;
  int calibration = -1;  // position among the settings' calibrated regimes; −1: not calibrated
};

class TwinLimits {
 public:
  // `outputs`, `regimes`: names.
  TwinLimits(const DiagnosisSettings& settings, base::Duration period, const std::vector<std::string>& outputs,
             const std::vector<std::string>& regimes);

  // Of a regime by its position; −1, or one that there is not: of a twin without regimes.
  [[nodiscard]] const RegimeLimits& of(int regime) const {
    const auto place = static_cast<std::size_t>(regime + 1);
    return limits_[place < limits_.size() ? place : 0];
  }

 private:
  std::vector<RegimeLimits> limits_;  // by regime + 1
};

}  // namespace twinkeeper::diagnosis
