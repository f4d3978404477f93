// What one fixed step of a twin yields: the record that diagnosis reads and that travels to the encoder. All vectors
// are sized when the record is built; copying one record over another of the same twin allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/frame.hpp"

namespace twinkeeper::estimation {

enum class Mode : std::uint8_t { initializing, converging, tracking, degraded, predict_only, lost };
[[nodiscard]] std::string_view to_string(Mode mode) noexcept;

struct InputStep {
  double value = 0.0;  // used in this step, after saturation
  signals::Quality quality = signals::Quality::bad;
  signals::Reason reason = signals::Reason::none;
  base::Duration age{-1};
  bool outside = false;  // of the range in which the model is meant to hold (validity_watch.hpp)

  template <class Archive>
  void archive(Archive& a) {
    a(value, quality, reason, age, outside);
  }
};

struct OutputStep {
  double measured = 0.0;    // NaN: none
  double expected = 0.0;    // ŷ(k|k−1); NaN while initializing
  double innovation = 0.0;  // measured − expected, NaN without a fresh good measurement
  double std = 0.0;         // √Σ_ii, NaN while initializing
  double test_ratio = 0.0;  // ν²/(g² Σ_ii), > 1: not fused; NaN without innovation
  bool fused = false;
  signals::Quality quality = signals::Quality::bad;
  signals::Reason reason = signals::Reason::none;
  base::Duration age{-1};
  bool fresh = false;  // `measured` is of this very step; else the last one, `age` old
  bool outside = false;  // as of InputStep

  template <class Archive>
  void archive(Archive& a) {
    a(measured, expected, innovation, std, test_ratio, fused, quality, reason, age, fresh, outside);
  }
};

struct TwinStep {
  std::int64_t step = 0;
  base::Instant time;  // t_k
  Mode mode = Mode::initializing;
  std::vector<double> x;    // x(k|k), NaN while initializing
  std::vector<double> std;  // √diag P(k|k), NaN where the model has none
  std::vector<InputStep> inputs;
  std::vector<OutputStep> outputs;
  int regime = -1;           // position among the twin's regimes; −1: none
  bool valid = true;         // no signal is outside
  bool tests_held = false;   // not valid; or there are regimes, and this is none of them or not settled
  double nis = 0.0;           // over all good rows, gated ones included; NaN where nis_dof is 0
  int nis_dof = 0;

  template <class Archive>
  void archive(Archive& a) {
    a(step, time, mode, x, std, inputs, outputs, regime, valid, tests_held, nis, nis_dof);
  }

  TwinStep() = default;
  TwinStep(std::size_t n_x, std::size_t n_u, std::size_t n_y) : x(n_x), std(n_x), inputs(n_u), outputs(n_y) {}
};

}  // namespace twinkeeper::estimation
