#include "app/sensor_reset.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "identification/calibrate_limits.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

using identification::RegimeRows;

constexpr double kSureOffset = 3.0;  // standard deviations of an offset
constexpr double kRowsPerTimeConstant = 5.0;
constexpr double kNearVariance = 1.1;  // of variances
constexpr double kMostFactor = 1e4;
constexpr double kNoiseStep = 0.7;  // below 1: with R grows P, and a whole step would go too far where Q is large
constexpr int kMostPasses = 12;

struct SensorReading {
  double median = 0.0;  // of z = ν / √Σ_ii
  double variance = 0.0;
  double error = 0.0;  // standard deviation of the median
  bool enough = false;
};

std::vector<SensorReading> readings_of(const std::vector<RegimeRows>& regimes,
                                       const std::vector<Eigen::Index>& measured) {
  std::vector<SensorReading> out;
  for (const Eigen::Index output : measured) {
    std::vector<double> z;
    for (const RegimeRows& rows : regimes) {
      const auto& more = rows.z[static_cast<std::size_t>(output)];
      z.insert(z.end(), more.begin(), more.end());
      z.push_back(std::nan(""));
    }
    SensorReading one;
    const auto count = std::count_if(z.begin(), z.end(), [](double v) { return !std::isnan(v); });
    const double scale = identification::robust_scale(z);
    one.enough = static_cast<std::size_t>(count) >= identification::kLeastRows && scale > 0.0;
    one.median = identification::median(z);
    one.variance = scale * scale;
    for (double& value : z) value -= one.median;
    constexpr double kMedianToMean = 1.2533;
    const double memory = identification::memory_of(z).block_scale;
    one.error = kMedianToMean * scale * memory / std::sqrt(std::max<double>(1.0, static_cast<double>(count)));
    out.push_back(one);
  }
  return out;
}

std::string why_offsets_are_left(const model::ModelSettings& settings, const model::StateSpace& model, double rows) {
  if (settings.type != "state_space") return "a template's sensors have parameters of their own";
  if (!settings.augment.empty()) return "the model's augmented states estimate offsets themselves";
  for (const model::Pole& pole : model::poles(model)) {
    const double steps = pole.time_constant / model.sample_time;
    if (!(steps >= 0.0 && steps * kRowsPerTimeConstant <= rows)) {
      return "the model is too slow to tell an offset from its state in these rows";
    }
  }
  return {};
}

void shift_sensor(model::ModelSettings& settings, std::size_t output, double offset) {
  auto& y = settings.operating_point.y;
  if (y.empty()) {
    for (const auto& one : settings.outputs) y.push_back(one.nominal.value_or(0.0));
  }
  y[output] += offset;
  if (settings.outputs[output].nominal) settings.outputs[output].nominal = y[output];
}

// `factor`: by output, of variances.
void scale_outputs(model::ModelSettings& settings, const std::vector<double>& factor) {
  const auto both_sides = [&](std::optional<model::Rows>& rows) {
    if (!rows) return;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      for (std::size_t j = 0; j < (*rows)[i].size(); ++j) (*rows)[i][j] *= std::sqrt(factor[i] * factor[j]);
    }
  };
  model::NoiseSettings& noise = settings.noise;
  if (noise.Q && noise.K) {
    noise.K.reset();
    noise.Ry.reset();
  }
  both_sides(noise.R);
  both_sides(noise.Ry);
  if (noise.S) {
    for (auto& row : *noise.S) {
      for (std::size_t j = 0; j < row.size(); ++j) row[j] *= std::sqrt(factor[j]);
    }
  }
  for (std::size_t i = 0; i < settings.outputs.size(); ++i) {
    model::OutputSettings& output = settings.outputs[i];
    if (!output.noise_std) continue;
    const double floor = output.resolution ? *output.resolution * *output.resolution / 12.0 : 0.0;
    const double variance = factor[i] * (*output.noise_std * *output.noise_std + floor) - floor;
    if (variance > 0.0) {
      output.noise_std = std::sqrt(variance);
    } else if (noise.R) {
      output.noise_std.reset();
    } else {
      output.noise_std = 0.0;
    }
  }
}

}  // namespace

base::Result<SensorReset> reset_sensors(Plan& plan, std::size_t twin,
                                        const std::function<base::Result<std::vector<RegimeRows>>()>& pass) {
  model::ModelSettings& settings = plan.config.twins[twin].model;
  const auto& sources = plan.config.twins[twin].outputs;
  SensorReset out;
  std::vector<Eigen::Index> measured;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].tag) continue;
    measured.push_back(static_cast<Eigen::Index>(i));
    out.outputs.push_back({settings.outputs[i].name, settings.outputs[i].unit});
  }
  bool offsets_done = false;
  for (int step = 0; step < kMostPasses; ++step) {
    auto regimes = pass();
    if (!regimes.ok()) return regimes.error();
    const model::StateSpace& model = plan.models[twin];
    const auto steady = model::steady_state(model, measured);
    if (!steady.ok()) return steady.error();
    const std::vector<SensorReading> readings = readings_of(regimes.value(), measured);
    const Eigen::VectorXd std = steady.value().Sigma.diagonal().cwiseSqrt();
    if (!std::exchange(offsets_done, true)) {
      double rows = 0.0;
      for (const RegimeRows& one : regimes.value()) rows += static_cast<double>(one.size());
      out.offsets_left = why_offsets_are_left(settings, model, rows);
      if (out.offsets_left.empty()) {
        model::StateSpace probe = model;
        probe.B = steady.value().K;
        probe.D = Eigen::MatrixXd::Identity(model.n_y(), model.n_y())(Eigen::all, measured);
        const auto gain = model::steady_state_gain(probe);
        bool shifted = false;
        for (std::size_t m = 0; gain && m < measured.size(); ++m) {
          double offset = 0.0, error = 0.0;
          for (std::size_t j = 0; j < measured.size(); ++j) {
            const auto column = static_cast<Eigen::Index>(j);
            const double part = (*gain)(measured[m], column) * std(column);
            offset += part * readings[j].median;
            error += std::abs(part) * readings[j].error;
          }
          if (!readings[m].enough || !(std::abs(offset) > kSureOffset * error)) continue;
          out.outputs[m].offset = offset;
          shift_sensor(settings, static_cast<std::size_t>(measured[m]), offset);
          shifted = true;
        }
        if (shifted) {
          rebuild_model(plan, twin);
          continue;
        }
      }
    }
    std::vector<double> factors(settings.outputs.size(), 1.0);
    bool more = false;
    for (std::size_t m = 0; m < measured.size(); ++m) {
      const double variance = readings[m].variance;
      if (!readings[m].enough || (variance < kNearVariance && variance * kNearVariance > 1.0)) continue;
      const auto output = measured[m];
      const double sigma = std(static_cast<Eigen::Index>(m)) * std(static_cast<Eigen::Index>(m));
      double factor = model.innovations_form_only
                          ? variance
                          : 1.0 + kNoiseStep * (variance - 1.0) * sigma / model.R(output, output);
      factor = std::clamp(factor, 0.1, 10.0);
      const double all = std::clamp(out.outputs[m].noise_factor * factor, 1.0 / kMostFactor, kMostFactor);
      factor = all / out.outputs[m].noise_factor;
      out.outputs[m].noise_factor = all;
      factors[static_cast<std::size_t>(output)] = factor;
      more = more || std::abs(factor - 1.0) > 0.01;
    }
    if (!more) break;
    scale_outputs(settings, factors);
    rebuild_model(plan, twin);
  }
  return out;
}

}  // namespace twinkeeper::app
