// The diagnosis of a model or a twin: limits, delays, and what calibration has found.
#include <algorithm>
#include <cmath>

#include "config/checks.hpp"
#include "config/diagnosis_writer.hpp"
#include "config/tables.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using diagnosis::Calibration;
using diagnosis::OutputCalibration;
using diagnosis::RegimeCalibration;

constexpr int kLongestWindow = 100'000;

Type<double> above_zero(double most = 1e6) { return number({0.0, most, true}); }

template <class T>
Type<std::optional<T>> or_off(const Type<T>& type) {
  const std::string accepted = type.accepted + " | off";
  return {accepted,
          {{"anyOf", Json::array({type.schema, {{"const", "off"}}})}},
          [type, accepted](Reader& reader, const Cursor& at, std::optional<T>& value) {
            if (at.node->kind == NodeKind::scalar && at.node->text == "off") {
              value.reset();
              return true;
            }
            T read{};
            if (at.node->kind == NodeKind::scalar && resolve(*at.node) == ScalarType::text) {
              reader.error(at, describe(*at.node) + " is not accepted", accepted);
              return false;
            }
            if (!type.read(reader, at, read)) return false;
            value = read;
            return true;
          },
          [](const std::optional<T>& value) { return value ? Json(*value) : Json("off"); }};
}

const Table<diagnosis::CusumSettings>& cusum_table() {
  using T = diagnosis::CusumSettings;
  static const Table<T> table(
      "a mapping with enabled, drift and limit",
      {
          key<T>("enabled", boolean(), &T::enabled, "Whether the test runs"),
          key<T>("drift", number({0.0, 100.0, false}), &T::drift, "Allowance per step, in standard deviations"),
          key<T>("limit", number({0.0, 1e6, true}), &T::limit, "Alarm above it, in standard deviations"),
      });
  return table;
}

const Table<diagnosis::SlowDriftSettings>& slow_drift_table() {
  using T = diagnosis::SlowDriftSettings;
  static const Table<T> table(
      "a mapping with enabled, drift and limit",
      {
          key<T>("enabled", boolean(), &T::enabled, "Whether the test runs"),
          key<T>("drift", number({0.0, 100.0, false}), &T::drift, "Allowance per step, in standard deviations"),
          key<T>("limit", above_zero(), &T::limit, "Alarm above it, in standard deviations"),
      });
  return table;
}

const Table<diagnosis::IsolationSettings>& isolation_table() {
  using T = diagnosis::IsolationSettings;
  static const Table<T> table("a mapping with enabled", {key<T>("enabled", boolean(), &T::enabled,
                                                                "Whether alarms of residuals name their cause")});
  return table;
}

const Table<diagnosis::ModelWatchSettings>& model_watch_table() {
  using T = diagnosis::ModelWatchSettings;
  static const Table<T> table(
      "a mapping with enabled and after",
      {
          key<T>("enabled", boolean(), &T::enabled, "Whether the test runs; only where the regime is calibrated"),
          key<T>("after", duration(1s, 90 * 24h), &T::after,
                 "Alarm once mean NIS or autocorrelation has been out of its band for so long in one regime"),
      });
  return table;
}

const Table<diagnosis::NisSettings>& nis_table() {
  using T = diagnosis::NisSettings;
  static const Table<T> table("a mapping with enabled, window and limit",
                              {
                                  key<T>("enabled", boolean(), &T::enabled, "Whether the test runs"),
                                  key<T>("window", integer<int>(2, kLongestWindow), &T::window, "Steps with rows"),
                                  key<T>("limit", above_zero(), &T::limit,
                                         "Alarm above it, per degree of freedom; what a matched model leaves once in "
                                         "10^8 unless given"),
                              });
  return table;
}

const Table<diagnosis::NoiseTestSettings>& noise_test_table() {
  using T = diagnosis::NoiseTestSettings;
  static const Table<T> table(
      "a mapping with enabled, window, low and high",
      {
          key<T>("enabled", boolean(), &T::enabled, "Whether the test runs"),
          key<T>("window", integer<int>(3, kLongestWindow), &T::window, "Rows"),
          key<T>("low", number({0.0, 1.0, false}), &T::low,
                 "Frozen noise below this share of the variance expected; only where the regime is calibrated"),
          key<T>("high", number({1.0, 1e6, true}), &T::high, "More noise above this multiple of the variance expected"),
      });
  return table;
}

// Entries by name that keep their other keys when another mapping is laid over them.
template <class T>
Type<std::vector<T>> laid_over(std::string accepted, const Table<T>& table) {
  return {accepted,
          {{"type", "object"}, {"additionalProperties", table.schema()}},
          [accepted, &table](Reader& reader, const Cursor& at, std::vector<T>& values) {
            if (at.node->kind != NodeKind::mapping) return refuse(reader, at, "a mapping", accepted);
            bool good = true;
            for (const Entry& entry : at.node->entries) {
              const Cursor below = at.key(entry);
              reader.record(below);
              auto place = std::find_if(values.begin(), values.end(), [&](const T& v) { return v.name == entry.key; });
              if (place == values.end()) {
                values.emplace_back().name = entry.key;
                place = values.end() - 1;
              }
              good = table.read(reader, below, *place) && good;
            }
            return good;
          },
          [&table](const std::vector<T>& values) {
            Json out = Json::object();
            for (const T& value : values) out[value.name] = table.write(value);
            return out;
          }};
}

const Table<OutputCalibration>& output_calibration_table() {
  using T = OutputCalibration;
  static const Table<T> table(
      "a mapping with scale, block, block_scale and limits",
      {
          key<T>("scale", above_zero(), &T::scale,
                 "Robust standard deviation of the innovations, in units of the one the model expects"),
          key<T>("block", integer<int>(1, kLongestWindow), &T::block, "Rows whose mean goes into the sums"),
          key<T>("block_scale", above_zero(), &T::block_scale,
                 "Standard deviation of such a mean times the root of its rows, in units of scale"),
          key<T>("cusum", above_zero(), &T::cusum, "Limit"),
          key<T>("slow_drift", above_zero(), &T::slow_drift, "Limit"),
          key<T>("noise_low", number({0.0, 1.0, false}), &T::noise_low, "Limit; 0: not tested"),
          key<T>("noise_high", number({1.0, 1e6, true}), &T::noise_high, "Limit"),
          key<T>("autocorrelation_low", number({-1.0, 1.0, false}), &T::autocorrelation_low,
                 "Band of the autocorrelation of a block, from one step to the next"),
          key<T>("autocorrelation_high", number({-1.0, 1.0, false}), &T::autocorrelation_high, "Likewise"),
      });
  return table;
}

const Table<RegimeCalibration>& regime_calibration_table() {
  using T = RegimeCalibration;
  const Type<double> rate = number({.least = 0.0});
  static const Table<T> table(
      "a mapping with nis, outputs and the evidence",
      {
          key<T>("hours", number({.least = 0.0}), &T::hours, "Hours of healthy rows that the limits are from"),
          key<T>("false_alarms", integer<int>(0, 1'000'000'000), &T::false_alarms,
                 "Seen in them, each quarter judged by the limits of the others"),
          key<T>("nominal_per_day", rate, &T::nominal_per_day, "False alarms expected of all tests together"),
          key<T>("nis_nominal_per_day", rate, &T::nis_nominal_per_day, "Of these those of nis"),
          key<T>("noise_nominal_per_day", rate, &T::noise_nominal_per_day, "And those of the noise of one output"),
          key<T>("nis", above_zero(), &T::nis, "Limit"),
          key<T>("model_block", integer<int>(0, 10'000'000), &T::model_block,
                 "Steps whose mean NIS and autocorrelation are held against their bands; 0: not at all"),
          key<T>("nis_mean_low", number({.least = 0.0}), &T::nis_mean_low, "Band of the mean NIS of a block"),
          key<T>("nis_mean_high", number({.least = 0.0}), &T::nis_mean_high, "Likewise"),
          key<T>("outputs", laid_over("a mapping from outputs to their limits", output_calibration_table()),
                 &T::outputs, "By the model's outputs"),
      });
  return table;
}

const Table<Calibration>& calibration_table() {
  using T = Calibration;
  static const Table<T> table(
      "a mapping with period, windows and regimes",
      {
          key<T>("period", duration(1ms, 24h), &T::period, "Step that the limits hold for"),
          key<T>("cusum_drift", number({0.0, 100.0, false}), &T::cusum_drift, "Drift that the limits hold for"),
          key<T>("slow_drift_drift", number({0.0, 100.0, false}), &T::slow_drift_drift, "Likewise"),
          key<T>("nis_window", integer<int>(2, kLongestWindow), &T::nis_window, "Window that the limits hold for"),
          key<T>("noise_window", integer<int>(3, kLongestWindow), &T::noise_window, "Likewise"),
          key<T>("false_alarms_per_day", above_zero(), &T::false_alarms_per_day, "What was asked for"),
          key<T>("regimes", laid_over("a mapping from regimes to their limits", regime_calibration_table()),
                 &T::regimes, "By the twin's regimes; all: of a twin without regimes"),
      });
  return table;
}

}  // namespace

const Table<diagnosis::DiagnosisSettings>& diagnosis_table() {
  using T = diagnosis::DiagnosisSettings;
  // Not written where nothing was calibrated.
  const auto calibration = [] {
    auto out = key<T>("calibration", mapping(calibration_table()), &T::calibration,
                      "What calibrate has found in healthy rows, regime by regime");
    out.write = [write = out.write](const T& settings) -> std::optional<Json> {
      if (!settings.calibration.given()) return std::nullopt;
      return write(settings);
    };
    return out;
  };
  static const Table<T> table(
      "a mapping with gate, gate_timeout, cusum, slow_drift, nis, noise, isolation, model, on_delay, off_delay, "
      "latch_severity",
      {
          key<T>("gate", or_off(above_zero(1000.0)), &T::gate,
                 "Innovations beyond this many standard deviations are not fused"),
          key<T>("gate_timeout", duration(0ms, 24h), &T::gate_timeout,
                 "Consecutive rejection after which the other outputs decide: sensor isolated, or followed"),
          key<T>("cusum", mapping(cusum_table()), &T::cusum, "Two-sided cumulative sum test per output"),
          key<T>("slow_drift", mapping(slow_drift_table()), &T::slow_drift, "The same for small shifts"),
          key<T>("nis", mapping(nis_table()), &T::nis, "All outputs together: windowed mean of the NIS"),
          key<T>("noise", mapping(noise_test_table()), &T::noise, "Variance of each output's innovations"),
          key<T>("isolation", mapping(isolation_table()), &T::isolation, "What an alarm names as its cause"),
          key<T>("model", mapping(model_watch_table()), &T::model, "Whether the model still fits the machine"),
          key<T>("on_delay", duration(0ms, 24h), &T::on_delay, "How long a condition must last to raise an alarm"),
          key<T>("off_delay", duration(0ms, 24h), &T::off_delay, "How long it must be gone to clear the alarm"),
          key<T>("latch_severity", or_off(integer<int>(1, 1000)), &T::latch_severity,
                 "Alarms of this severity or more stand until somebody acknowledges them"),
          calibration(),
      });
  return table;
}

Json diagnosis_tree(const diagnosis::DiagnosisSettings& settings) { return diagnosis_table().write(settings); }

void check_calibration(Reader& reader, const std::string& path, const diagnosis::DiagnosisSettings& settings,
                       base::Duration period, const std::vector<std::string>& outputs) {
  const Calibration& calibration = settings.calibration;
  const std::string at = child_path(path, "calibration");
  if (!calibration.given()) {
    if (!calibration.regimes.empty()) {
      reader.error(at, "says no period, so its limits hold for none", "a mapping as calibrate writes it");
    }
    return;
  }
  const auto differs = [&](const std::string& key, const std::string& calibrated, const std::string& used) {
    reader.error(child_path(path, key), used + ", but the limits were calibrated for " + calibrated,
                 calibrated + ", or another calibration");
  };
  const auto shown = [](double value) { return Json(value).dump(); };
  if (std::abs((calibration.period - period).count()) > 1) {
    reader.error(child_path(at, "period"),
                 "the twin steps every " + base::format_duration(period) + ", but the limits were calibrated for " +
                     base::format_duration(calibration.period),
                 "another calibration");
  }
  if (calibration.cusum_drift != settings.cusum.drift) {
    differs("cusum.drift", shown(calibration.cusum_drift), shown(settings.cusum.drift));
  }
  if (calibration.slow_drift_drift != settings.slow_drift.drift) {
    differs("slow_drift.drift", shown(calibration.slow_drift_drift), shown(settings.slow_drift.drift));
  }
  if (calibration.nis_window != settings.nis.window) {
    differs("nis.window", std::to_string(calibration.nis_window), std::to_string(settings.nis.window));
  }
  if (calibration.noise_window != settings.noise.window) {
    differs("noise.window", std::to_string(calibration.noise_window), std::to_string(settings.noise.window));
  }
  for (const RegimeCalibration& regime : calibration.regimes) {
    for (const OutputCalibration& output : regime.outputs) {
      if (std::find(outputs.begin(), outputs.end(), output.name) != outputs.end()) continue;
      reader.error(child_path(at, "regimes." + regime.name + ".outputs." + output.name), "is no output of the model",
                   join(outputs));
    }
  }
}

}  // namespace twinkeeper::config
