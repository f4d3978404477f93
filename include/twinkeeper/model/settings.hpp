// A model as a person wrote it (contract: model file), in std types only: what config parses and model::build checks.
// Shapes, finiteness and spelling are checked by config; what needs linear algebra is checked by model::build.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::model {

using Rows = std::vector<std::vector<double>>;  // row-major; all rows of one length

enum class TimeBase { discrete, continuous };

// What the inputs of a continuous model do between two ticks: they are held, or run linearly to their next value.
enum class Discretization { zoh, foh };

struct StateSettings {
  std::string name;
  std::string unit;
  std::optional<double> initial;      // absolute; absent: estimated from the first steps
  std::optional<double> initial_std;  // absent: root of the steady-state covariance's diagonal
  std::optional<double> min;
  std::optional<double> max;
};

struct InputSettings {
  std::string name;
  std::string unit;
  std::optional<double> nominal;
  std::optional<double> min;
  std::optional<double> max;
};

struct OutputSettings {
  std::string name;
  std::string unit;
  std::optional<double> nominal;
  std::optional<double> noise_std;
  std::optional<double> resolution;
  std::optional<std::chrono::nanoseconds> lag = {};  // time constant between what the model shows and the sensor
};

struct OperatingPointSettings {
  std::vector<double> x, u, y;  // empty: zeros (or the nominal values where those are given)
};

struct NoiseSettings {
  std::optional<Rows> Q, R, S;  // continuous: Q is a spectral density in unit²/s
  std::optional<Rows> K, Ry;    // innovations form, discrete only: predictor gain and innovation covariance
};

struct ValidRange {
  std::string name;  // of an input or output
  double min, max;
};

struct ValiditySettings {  // where the model is meant to hold
  std::vector<ValidRange> u, y;
};

struct ParameterSettings {
  std::string name;
  double value = 0.0;
  std::string unit;  // as written, empty: the template's
};

// One more state, beside those of the machine (augmentation.hpp).
enum class AugmentKind { sensor_bias, input_disturbance, parameter };

struct AugmentSettings {
  AugmentKind kind = AugmentKind::sensor_bias;
  std::string output, input, name;              // of what: the one that belongs to the kind
  std::optional<double> initial;                // 0, or the configured value of the parameter
  std::optional<double> initial_std;            // mandatory without a time constant
  std::optional<double> noise_density;          // unit/√s; this or `std`
  std::optional<double> std;                    // in the long run, needs a time constant
  std::optional<base::Duration> time_constant;  // absent: infinite, a random walk
  std::optional<double> min, max;
  std::optional<double> deviation_limit;  // an alarm beyond it, see AugmentedState
};

struct ModelSettings {
  std::string name;
  int version = 1;
  std::string type = "state_space";           // or a template (templates.hpp): A, B, C, D, dx then follow from
  std::vector<ParameterSettings> parameters;  // its parameters, signals may be left out: complete() adds them
  TimeBase time = TimeBase::discrete;
  Discretization discretization = Discretization::zoh;
  std::optional<double> sample_time;  // s; mandatory for a discrete model
  std::vector<StateSettings> states;
  std::vector<InputSettings> inputs;
  std::vector<OutputSettings> outputs;
  Rows A, B, C, D;  // B and D may be empty (no inputs); D absent: zeros
  NoiseSettings noise;
  OperatingPointSettings operating_point;
  ValiditySettings validity;
  std::vector<double> dx;  // continuous: derivative at the operating point; empty: zeros
  std::vector<AugmentSettings> augment;
  std::string hash;  // "sha256:…" of the canonical text, filled in by config
  std::string file;  // where it was read from, empty for an inline map
};

}  // namespace twinkeeper::model
