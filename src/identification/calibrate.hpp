// Limits of the diagnosis from the innovations of healthy rows.
//
// Of each regime, with S steps a day and N tests that share the false alarms asked for, F a day:
//   s          robust standard deviation of ν/√Σ_ii; block and its scale from the autocorrelation (calibrate_limits.hpp)
//   limit      max(that of the uncalibrated test, that for one alarm in N/F days, 1.3 · the largest statistic of the rows);
//              downwards for frozen noise, min and 1 / 1.3
//   nominal    false alarms a day at these limits
//   observed   alarms in each quarter of the rows by the limits of the other three: what rows not seen before would show
//   at most    upper 95 % bound of what was observed: 3 / T for none in T, never 0
// `widening` makes s larger where the rows are those that the model was fitted to and nothing better is at hand.
//
// Errors: none; a regime or an output with fewer than kLeastRows rows is left out. Thread rule: pure functions. Allocates.
// Source: notes on the limits in docs/calibration.md.
#pragma once

#include <string>
#include <vector>

#include "identification/calibrate_limits.hpp"
#include "twinkeeper/diagnosis/settings.hpp"

namespace twinkeeper::identification {

inline constexpr std::size_t kLeastRows = 200;

// The steps of one regime in order; where a stretch ends, a row of NaN and without nis.
struct RegimeRows {
  std::string name;
  std::vector<std::vector<double>> z;  // by output, then row: ν/√Σ_ii, NaN: none
  std::vector<NisRow> nis;             // by row
  std::vector<std::vector<double>> y = {};  // by output, then row: what was measured; may be empty
  [[nodiscard]] std::size_t size() const { return nis.size(); }
};

struct CalibrationRequest {
  diagnosis::DiagnosisSettings settings;  // tests, drifts, windows, gate
  std::vector<std::string> outputs;
  base::Duration period{};
  double false_alarms_per_day = 1.0 / 30.0;
  double widening = 1.0;
  bool held_out_blocks =
      false;  // the stretches are blocks that models of the others judge: each has a level of its own
};

struct InnovationFigures {
  std::size_t rows = 0;
  double offset = 0.0;  // median of z in s
  Memory memory;
  double largest_cusum = 0.0, largest_slow_drift = 0.0;
};

// An output that drifts in the rows: they say nothing about its level, and cover what lies between.
struct DriftingLevel {
  std::string output;
  double low = 0.0, high = 0.0;
};

struct RegimeFigures {
  diagnosis::RegimeCalibration limits;
  std::vector<InnovationFigures> outputs;  // in the order of limits.outputs
  double largest_nis = 0.0;
  double observed_per_day = 0.0, at_most_per_day = 0.0;
  bool extrapolated = false;          // the rows are fewer than one alarm takes
  std::vector<std::string> left_out;  // outputs
  std::vector<DriftingLevel> drifting;
};

// Nothing for a regime with too few rows.
[[nodiscard]] std::vector<RegimeFigures> calibrate(const std::vector<RegimeRows>& regimes,
                                                   const CalibrationRequest& request);
// What the figures are in the diagnosis.
[[nodiscard]] diagnosis::Calibration calibration_of(const std::vector<RegimeFigures>& figures,
                                                    const CalibrationRequest& request);

}  // namespace twinkeeper::identification
