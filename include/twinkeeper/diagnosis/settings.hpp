// Limits and delays of the diagnosis, in std types only.
//
// Two layers of limits: those of the tests themselves hold wherever nothing was calibrated; what `calibrate` has found
// of a regime (Calibration) takes their place there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

struct CusumSettings {
  bool enabled = true;
  double drift = 0.5;   // k, in standard deviations of the innovation
  double limit = 16.0;  // h, in the same; alarm above it, clear below half of it
};

struct SlowDriftSettings {  // the same for small shifts
  bool enabled = true;
  double drift = 0.25;
  double limit = 28.0;
};

// The mean NIS per degree of freedom of the last `window` steps that had rows (windowed_nis.hpp).
struct NisSettings {
  bool enabled = true;
  int window = 60;              // steps
  std::optional<double> limit;  // absent: what a matched model leaves once in 10⁸
};

// The variance of one output's innovations in its last `window` rows, in units of the variance expected.
struct NoiseTestSettings {
  bool enabled = true;
  int window = 60;    // rows
  double low = 0.28;  // below: frozen noise; only where the regime is calibrated
  double high = 2.4;  // above: more noise; both are what a matched model leaves once in 10⁸
};

// Whether the model still fits (model_watch.hpp); only where the regime is calibrated.
struct ModelWatchSettings {
  bool enabled = true;
  base::Duration after = std::chrono::hours{24};  // of one regime, out of band without a break
};

// What one output's innovations are in a regime.
struct OutputCalibration {
  std::string name;
  double scale = 1.0;        // their robust standard deviation in units of √Σ_ii
  int block = 1;             // L: the sums take means of so many rows
  double block_scale = 1.0;  // standard deviation of such a mean · √L in units of `scale`
  double cusum = 16.0;       // limits
  double slow_drift = 28.0;
  double noise_low = 0.28;
  double noise_high = 2.4;
  double autocorrelation_low = -1.0;  // band of the lag-1 autocorrelation of a block
  double autocorrelation_high = 1.0;

  bool operator==(const OutputCalibration&) const = default;
};

struct RegimeCalibration {
  std::string name;                    // kWholeLog: of a twin without regimes
  double hours = 0.0;                  // of healthy rows
  int false_alarms = 0;                // seen in them, each quarter judged by the limits of the others
  double nominal_per_day = 0.0;        // of all tests together
  double nis_nominal_per_day = 0.0;    // of these the whole-vector test
  double noise_nominal_per_day = 0.0;  // and either side of the variance ratio of one output
  double nis = 1.9;                    // limit
  std::vector<OutputCalibration> outputs;
  int model_block = 0;        // steps whose figures are held against the bands; 0: too few rows for a band
  double nis_mean_low = 0.0;  // band of the mean NIS of a block
  double nis_mean_high = 0.0;

  bool operator==(const RegimeCalibration&) const = default;
};

inline constexpr const char* kWholeLog = "all";

// Limits hold for the period, drifts and windows they were found with, and for no others.
struct Calibration {
  base::Duration period{};  // zero: nothing is calibrated
  double cusum_drift = 0.5;
  double slow_drift_drift = 0.25;
  int nis_window = 60;
  int noise_window = 60;
  double false_alarms_per_day = 1.0 / 30.0;  // asked for
  std::vector<RegimeCalibration> regimes;

  [[nodiscard]] bool given() const { return period > base::Duration::zero(); }
  bool operator==(const Calibration&) const = default;
};

struct IsolationSettings {
  bool enabled = true;
};

struct DiagnosisSettings {
  std::optional<double> gate = 5.0;                        // g, in standard deviations; absent: off
  base::Duration gate_timeout = std::chrono::seconds{30};  // rejection in a row after which the other rows decide
  CusumSettings cusum;
  SlowDriftSettings slow_drift;
  NisSettings nis;
  NoiseTestSettings noise;
  IsolationSettings isolation;
  ModelWatchSettings model;
  base::Duration on_delay = std::chrono::seconds{2};
  base::Duration off_delay = std::chrono::seconds{60};
  std::optional<int> latch_severity = 800;  // from here on alarms stand until they are acknowledged; absent: none does
  Calibration calibration;

  // Where the tests cut innovations off, live and while they are calibrated.
  [[nodiscard]] double gate_of_tests() const { return gate.value_or(5.0); }
};

}  // namespace twinkeeper::diagnosis
