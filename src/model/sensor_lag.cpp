#include "model/sensor_lag.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>

#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {
namespace {

bool has_shape(const Rows& rows, std::size_t height, std::size_t width) {
  return rows.size() == height &&
         std::all_of(rows.begin(), rows.end(), [width](const auto& row) { return row.size() == width; });
}

bool fits(const ModelSettings& settings) {
  const std::size_t n = settings.states.size();
  const std::size_t m = settings.inputs.size();
  const std::size_t p = settings.outputs.size();
  const auto& point = settings.operating_point;
  const auto length = [](const std::vector<double>& values, std::size_t size) {
    return values.empty() || values.size() == size;
  };
  return has_shape(settings.A, n, n) && has_shape(settings.C, p, n) && (m == 0 || has_shape(settings.B, n, m)) &&
         (settings.D.empty() || has_shape(settings.D, p, m)) &&
         (!settings.noise.Q || has_shape(*settings.noise.Q, n, n)) && length(point.x, n) && length(point.y, p) &&
         length(settings.dx, n);
}

double operating_value(const ModelSettings& settings, std::size_t output) {
  const auto& y = settings.operating_point.y;
  return y.empty() ? settings.outputs[output].nominal.value_or(0.0) : y[output];
}

// The state of output `i` as it starts; `row` is C's, over the states that there were.
StateSettings sensor_state(const ModelSettings& settings, std::size_t i, const std::vector<double>& row) {
  StateSettings sensor{sensor_state_name(settings.outputs[i]), settings.outputs[i].unit, {}, {}, {}, {}};
  double value = operating_value(settings, i);
  double variance = 0.0;
  bool known = false, std_given = false, std_known = true;
  for (std::size_t j = 0; j < row.size(); ++j) {
    const StateSettings& state = settings.states[j];
    known = known || state.initial;  // of all states, else build() tells
    std_given = std_given || state.initial_std;
    std_known = std_known && (row[j] == 0.0 || state.initial_std);
    if (row[j] == 0.0) continue;
    if (state.initial) {
      value += row[j] * (*state.initial - (settings.operating_point.x.empty() ? 0.0 : settings.operating_point.x[j]));
    }
    if (std_known) variance += row[j] * *state.initial_std * row[j] * *state.initial_std;
  }
  if (known) sensor.initial = value;
  if (std_given && std_known) sensor.initial_std = std::sqrt(variance);
  return sensor;
}

void widen(Rows& rows, std::size_t by) {
  for (auto& row : rows) row.resize(row.size() + by, 0.0);
}

}  // namespace

std::string sensor_state_name(const OutputSettings& output) { return output.name + "_sensor"; }

void check_sensor_lags(const ModelSettings& settings, base::Issues& issues) {
  for (std::size_t i = 0; i < settings.outputs.size(); ++i) {
    const OutputSettings& output = settings.outputs[i];
    if (!output.lag) continue;
    const std::string path = "outputs[" + std::to_string(i) + "].lag";
    if (settings.type != kStateSpace) {
      issues.push_back({path, "given for a template", "tau_sensor where the template has it, or a state_space"});
    } else if (settings.time == TimeBase::discrete) {
      issues.push_back({path, "given for a discrete model, which does not say what the output does between two steps",
                        "lag with time: continuous"});
    } else if (!(output.lag->count() > 0)) {
      issues.push_back({path, "is not above 0", "a duration above 0"});
    }
    for (std::size_t j = 0; j < settings.states.size(); ++j) {
      if (settings.states[j].name != sensor_state_name(output)) continue;
      issues.push_back(
          {path, "its state would be " + sensor_state_name(output) + ", which is states[" + std::to_string(j) + "]",
           "another name of the output or of that state"});
    }
  }
}

void add_sensor_lags(ModelSettings& settings) {
  std::vector<std::size_t> lagged;
  for (std::size_t i = 0; i < settings.outputs.size(); ++i) {
    if (settings.outputs[i].lag) lagged.push_back(i);
  }
  if (lagged.empty() || !fits(settings)) return;
  const std::size_t n = settings.states.size();
  const std::size_t more = lagged.size();

  std::vector<StateSettings> sensors;
  for (const std::size_t i : lagged) sensors.push_back(sensor_state(settings, i, settings.C[i]));
  if (settings.operating_point.x.empty()) settings.operating_point.x.assign(n, 0.0);
  for (const std::size_t i : lagged) settings.operating_point.x.push_back(operating_value(settings, i));
  settings.states.insert(settings.states.end(), sensors.begin(), sensors.end());
  if (!settings.dx.empty()) settings.dx.resize(n + more, 0.0);

  widen(settings.A, more);
  widen(settings.C, more);
  for (std::size_t k = 0; k < more; ++k) {
    const std::size_t i = lagged[k];
    const double rate = 1.0 / std::chrono::duration<double>(*settings.outputs[i].lag).count();
    std::vector<double>& seen = settings.C[i];
    std::vector<double> row(n + more, 0.0);
    for (std::size_t j = 0; j < n; ++j) {
      row[j] = rate * seen[j];
      seen[j] = 0.0;
    }
    row[n + k] = -rate;
    seen[n + k] = 1.0;
    settings.A.push_back(std::move(row));
    if (!settings.inputs.empty()) {
      std::vector<double> fed(settings.inputs.size(), 0.0);
      for (std::size_t j = 0; j < fed.size() && !settings.D.empty(); ++j) {
        fed[j] = rate * settings.D[i][j];
        settings.D[i][j] = 0.0;
      }
      settings.B.push_back(std::move(fed));
    }
    settings.outputs[i].lag.reset();
  }
  if (settings.noise.Q) {
    widen(*settings.noise.Q, more);
    settings.noise.Q->resize(n + more, std::vector<double>(n + more, 0.0));
  }
}

}  // namespace twinkeeper::model
