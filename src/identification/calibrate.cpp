#include "identification/calibrate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "identification/autoregression.hpp"
#include "identification/model_band.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/variance_ratio.hpp"
#include "twinkeeper/diagnosis/windowed_nis.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::identification {
namespace {

constexpr double kMargin = 1.3;
constexpr double kUpper95 = 1.645;
constexpr std::size_t kRefits = 4;

// A test as it goes over rows: its statistic after a row, NaN: none; begin anew.
struct Walk {
  std::function<double(std::size_t row)> step;
  std::function<void()> reset;
};

// One side of a test; `down`: small values are the ones that alarm.
struct Extremes {
  std::array<double, kRefits> of_fold{};
  bool down = false;

  [[nodiscard]] double worse(double a, double b) const { return down ? std::min(a, b) : std::max(a, b); }
  [[nodiscard]] double all() const {
    double out = of_fold[0];
    for (const double value : of_fold) out = worse(out, value);
    return out;
  }
  [[nodiscard]] double with_margin(double value) const { return down ? value / kMargin : value * kMargin; }
};

std::size_t fold_begin(std::size_t fold, std::size_t rows) { return fold * rows / kRefits; }

Extremes extremes_of(const Walk& walk, std::size_t rows, bool down) {
  Extremes out;
  out.down = down;
  for (std::size_t fold = 0; fold < kRefits; ++fold) {
    out.of_fold[fold] = down ? 1.0 : 0.0;
    walk.reset();
    for (std::size_t row = fold_begin(fold, rows); row < fold_begin(fold + 1, rows); ++row) {
      const double value = walk.step(row);
      if (!std::isnan(value)) out.of_fold[fold] = out.worse(out.of_fold[fold], value);
    }
  }
  return out;
}

// `floor`: the limit that holds whatever the rows show.
int alarms_of(const Walk& walk, std::size_t rows, const Extremes& extremes, double floor) {
  int alarms = 0;
  for (std::size_t fold = 0; fold < kRefits; ++fold) {
    double limit = floor;
    for (std::size_t other = 0; other < kRefits; ++other) {
      if (other != fold) limit = extremes.worse(limit, extremes.with_margin(extremes.of_fold[other]));
    }
    if (extremes.worse(limit, extremes.of_fold[fold]) == limit) continue;
    walk.reset();
    for (std::size_t row = fold_begin(fold, rows); row < fold_begin(fold + 1, rows); ++row) {
      const double value = walk.step(row);
      if (std::isnan(value) || extremes.worse(limit, value) == limit) continue;
      ++alarms;
      walk.reset();
    }
  }
  return alarms;
}

class RegimeCalibrator {
 public:
  RegimeCalibrator(const RegimeRows& rows, const CalibrationRequest& request)
      : rows_(rows),
        request_(request),
        gate_(request.settings.gate_of_tests()),
        steps_per_day_(86400.0 / std::chrono::duration<double>(request.period).count()) {}

  RegimeFigures run() {
    std::size_t with_rows = 0;
    for (const NisRow& row : rows_.nis) with_rows += row.dof > 0 ? 1 : 0;
    out_.limits.name = rows_.name;
    out_.limits.hours = static_cast<double>(with_rows) / steps_per_day_ * 24.0;
    const auto& settings = request_.settings;
    const int of_output =
        int{settings.cusum.enabled} + int{settings.slow_drift.enabled} + 2 * int{settings.noise.enabled};
    const int tests = std::max(of_output * static_cast<int>(rows_.z.size()) + int{settings.nis.enabled}, 1);
    run_length_ = steps_per_day_ * tests / request_.false_alarms_per_day;
    out_.extrapolated = run_length_ > static_cast<double>(with_rows);
    for (std::size_t i = 0; i < rows_.z.size(); ++i) output(i);
    nis();
    find_model_bands(rows_, request_, out_.limits);
    for (std::size_t i = 0; i < rows_.y.size(); ++i) {
      std::vector<double> y = rows_.y[i];
      if (level_known(y)) continue;
      std::erase_if(y, [](double value) { return std::isnan(value); });
      if (y.size() < kLeastRows) continue;
      const auto [low, high] = std::minmax_element(y.begin(), y.end());
      out_.drifting.push_back({request_.outputs[i], *low, *high});
    }
    const double days = out_.limits.hours / 24.0;
    const int alarms = out_.limits.false_alarms;
    out_.observed_per_day = alarms / days;
    out_.at_most_per_day =
        alarms == 0 ? 3.0 / days : 0.5 * estimation::chi_square_quantile(2 * (alarms + 1), kUpper95) / days;
    return std::move(out_);
  }

 private:
  void output(std::size_t index) {
    std::vector<double> z = rows_.z[index];
    InnovationFigures figures;
    figures.rows = static_cast<std::size_t>(std::count_if(z.begin(), z.end(), [](double v) { return !std::isnan(v); }));
    diagnosis::OutputCalibration limits;
    limits.name = request_.outputs[index];
    limits.scale = robust_scale(z) * request_.widening;
    if (figures.rows < kLeastRows || !(limits.scale > 0.0)) {
      out_.left_out.push_back(limits.name);
      return;
    }
    figures.offset = median(z) / limits.scale;
    for (double& value : z) value = std::clamp(value / limits.scale, -gate_, gate_);
    figures.memory = memory_of(z, request_.held_out_blocks);
    limits.block = figures.memory.block;
    limits.block_scale = figures.memory.block_scale;
    stretch_ = std::max<std::size_t>(stretch_, 20 * static_cast<std::size_t>(limits.block));
    const auto& settings = request_.settings;
    // What is off keeps its usual limit and has no part in the figures.
    limits.cusum = settings.cusum.limit;
    limits.slow_drift = settings.slow_drift.limit;
    limits.noise_low = settings.noise.low;
    limits.noise_high = settings.noise.high;
    if (settings.cusum.enabled) {
      figures.largest_cusum = sums(z, limits, settings.cusum.drift, settings.cusum.limit, figures.memory, limits.cusum);
    }
    if (settings.slow_drift.enabled) {
      figures.largest_slow_drift =
          sums(z, limits, settings.slow_drift.drift, settings.slow_drift.limit, figures.memory, limits.slow_drift);
    }
    if (settings.noise.enabled) noise(z, limits);
    out_.limits.outputs.push_back(std::move(limits));
    out_.outputs.push_back(figures);
  }

  double sums(const std::vector<double>& z, const diagnosis::OutputCalibration& output, double drift, double least,
              const Memory& memory, double& limit) {
    diagnosis::TwoSidedCusum cusum(drift, 1e9);
    diagnosis::BlockMean block;
    const double factor = 1.0 / (std::sqrt(static_cast<double>(output.block)) * output.block_scale);
    const Walk walk{[&](std::size_t row) {
                      if (!std::isnan(z[row]) && block.add(z[row], output.block, {}))
                        cusum.add(block.sum() * factor, {});
                      return cusum.value();
                    },
                    [&] {
                      cusum.reset();
                      block.reset();
                    }};
    const Extremes extremes = extremes_of(walk, z.size(), false);
    const CusumRunLength length(drift, memory);
    const double floor = std::max(least, length.limit(run_length_));
    limit = std::max(floor, extremes.with_margin(extremes.all()));
    out_.limits.false_alarms += alarms_of(walk, z.size(), extremes, floor);
    out_.limits.nominal_per_day += steps_per_day_ / length.rows(limit);
    return extremes.all();
  }

  void noise(std::vector<double> z, diagnosis::OutputCalibration& output) {
    const auto& settings = request_.settings.noise;
    std::erase_if(z, [](double value) { return std::isnan(value); });
    diagnosis::VarianceRatio ratio(settings.window);
    const Walk walk{[&](std::size_t row) {
                      ratio.add(z[row], {});
                      return ratio.full() ? ratio.value() : std::nan("");
                    },
                    [&] { ratio.reset(); }};
    const NoiseRates rates = noise_rates(z, settings.window, stretch_);
    const double rate = 1.0 / run_length_;
    const Extremes most = extremes_of(walk, z.size(), false);
    const double high = std::max(settings.high, rates.up.above(rate));
    output.noise_high = std::max(high, most.with_margin(most.all()));
    const Extremes least = extremes_of(walk, z.size(), true);
    const double low = std::min(settings.low, rates.down.below(rate));
    output.noise_low = std::min(low, least.with_margin(least.all()));
    // Values that stand still for a window at times say nothing by standing still.
    constexpr double kStandsStill = 0.02;
    const bool tested = output.noise_low > kStandsStill;
    if (!tested) output.noise_low = 0.0;
    out_.limits.false_alarms += alarms_of(walk, z.size(), most, high);
    double nominal = rates.up.per_row(output.noise_high);
    if (tested) {
      out_.limits.false_alarms += alarms_of(walk, z.size(), least, low);
      nominal += rates.down.per_row(output.noise_low);
    }
    nominal *= steps_per_day_;
    out_.limits.nominal_per_day += nominal;
    out_.limits.noise_nominal_per_day = std::max(out_.limits.noise_nominal_per_day, nominal);
  }

  void nis() {
    const auto& settings = request_.settings.nis;
    const auto n_y = static_cast<int>(rows_.z.size());
    std::vector<NisRow> rows;
    const double narrowed = 1.0 / (request_.widening * request_.widening);
    for (NisRow row : rows_.nis) {
      if (row.dof > 0) rows.push_back(row);
    }
    diagnosis::WindowedNis statistic(settings.window, n_y, gate_);
    const Walk walk{[&](std::size_t row) {
                      statistic.add(rows[row].nis, rows[row].dof, {});
                      return statistic.full() ? statistic.value() : std::nan("");
                    },
                    [&] { statistic.reset(); }};
    constexpr double kOnceIn1e8 = 5.612;  // standard deviations
    const int full = settings.window * n_y;
    const double usual = settings.limit.value_or(estimation::chi_square_quantile(full, kOnceIn1e8) / full);
    out_.limits.nis = usual;
    if (!settings.enabled) return;
    // What a step counts for at most follows from the limit, and the limit from what the steps count for.
    double limit = usual;
    for (int i = 0; i < 4; ++i) {
      statistic.set_limit(limit);
      limit = std::max(usual, kMargin * extremes_of(walk, rows.size(), false).all());
    }
    statistic.set_limit(limit);
    const Extremes extremes = extremes_of(walk, rows.size(), false);
    const CrossingRate rate = nis_rate(rows, statistic, settings.window, stretch_);
    const double floor = std::max(usual, rate.above(1.0 / run_length_));
    limit = std::max(floor, extremes.with_margin(extremes.all()));
    out_.limits.nis = limit / narrowed;
    out_.largest_nis = extremes.all();
    out_.limits.false_alarms += alarms_of(walk, rows.size(), extremes, floor);
    out_.limits.nis_nominal_per_day = rate.per_row(limit) * steps_per_day_;
    out_.limits.nominal_per_day += out_.limits.nis_nominal_per_day;
  }

  const RegimeRows& rows_;
  const CalibrationRequest& request_;
  const double gate_, steps_per_day_;
  double run_length_ = 0.0;   // rows for one alarm of one test
  std::size_t stretch_ = 60;  // rows that stay together
  RegimeFigures out_;
};

}  // namespace

std::vector<RegimeFigures> calibrate(const std::vector<RegimeRows>& regimes, const CalibrationRequest& request) {
  std::vector<RegimeFigures> out;
  for (const RegimeRows& rows : regimes) {
    const auto with_rows =
        std::count_if(rows.nis.begin(), rows.nis.end(), [](const NisRow& row) { return row.dof > 0; });
    if (static_cast<std::size_t>(with_rows) < kLeastRows) continue;
    out.push_back(RegimeCalibrator(rows, request).run());
  }
  return out;
}

diagnosis::Calibration calibration_of(const std::vector<RegimeFigures>& figures, const CalibrationRequest& request) {
  diagnosis::Calibration out;
  out.period = request.period;
  out.cusum_drift = request.settings.cusum.drift;
  out.slow_drift_drift = request.settings.slow_drift.drift;
  out.nis_window = request.settings.nis.window;
  out.noise_window = request.settings.noise.window;
  out.false_alarms_per_day = request.false_alarms_per_day;
  for (const RegimeFigures& one : figures) out.regimes.push_back(one.limits);
  return out;
}

}  // namespace twinkeeper::identification
