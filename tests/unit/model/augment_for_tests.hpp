// Entries of `augment`, random walks unless told otherwise.
#pragma once

#include <string>

#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

inline AugmentSettings random_walk(AugmentKind kind) {
  AugmentSettings entry;
  entry.kind = kind;
  entry.noise_density = 1e-3;
  entry.initial_std = 0.5;
  return entry;
}

inline AugmentSettings bias(const std::string& output) {
  AugmentSettings entry = random_walk(AugmentKind::sensor_bias);
  entry.output = output;
  return entry;
}

inline AugmentSettings disturbance(const std::string& input) {
  AugmentSettings entry = random_walk(AugmentKind::input_disturbance);
  entry.input = input;
  return entry;
}

inline AugmentSettings parameter(const std::string& name) {
  AugmentSettings entry = random_walk(AugmentKind::parameter);
  entry.name = name;
  return entry;
}

inline AugmentSettings with_time_constant(AugmentSettings entry, base::Duration time_constant) {
  entry.time_constant = time_constant;
  return entry;
}

}  // namespace twinkeeper::model
