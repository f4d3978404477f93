// A small valid model that a test spoils in one place.
#pragma once

#include <utility>
#include <variant>

#include "support/catch.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

inline ModelSettings two_tank_settings() {
  ModelSettings s;
  s.name = "two_tank";
  s.sample_time = 0.1;
  s.states = {{"level_1", "m", 0.1, 0.05, 0.0, 2.0}, {"level_2", "m", 0.1, 0.05, 0.0, 2.0}};
  s.inputs = {{"pump", "V", 3.0, 0.0, 10.0}};
  s.outputs = {{"level_1", "m", 0.124, 0.002, 0.001}, {"level_2", "m", {}, 0.002, {}}};
  s.A = {{0.98, 0.0}, {0.02, 0.97}};
  s.B = {{0.01}, {0.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.Q = Rows{{1e-6, 0.0}, {0.0, 1e-6}};
  return s;
}

// Two states, two inputs, one output that the second input reaches at once; continuous.
inline ModelSettings two_lags_settings() {
  ModelSettings s;
  s.name = "plant";
  s.time = TimeBase::continuous;
  for (const char* name : {"a", "b"}) s.states.push_back({name, "", 0.0, 0.1, {}, {}});
  for (const char* name : {"u", "v"}) s.inputs.push_back({name, "", {}, {}, {}});
  s.outputs.push_back({"a", "", {}, 0.1, {}});
  s.A = {{-1.0, 0.5}, {0.0, -3.0}};
  s.B = {{0.0, 1.0}, {2.0, 0.0}};
  s.C = {{1.0, 0.0}};
  s.D = {{0.0, 0.25}};
  s.noise.Q = Rows{{1e-4, 0.0}, {0.0, 1e-4}};
  return s;
}

// Discretised with the model's own sample time, or with `period`.
inline StateSpace built(const ModelSettings& settings, double period = 0.1) {
  Built result = build(settings, settings.sample_time.value_or(period));
  REQUIRE(std::holds_alternative<StateSpace>(result));
  return std::get<StateSpace>(std::move(result));
}

inline Rows rows(const Eigen::MatrixXd& matrix) {
  Rows result;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    result.emplace_back();
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) result.back().push_back(matrix(i, j));
  }
  return result;
}

}  // namespace twinkeeper::model
