// ConsistencyMonitor: whether a twin's innovations are what its covariances promise.
//
//   mean NIS      Σ nis / Σ dof over the last W steps; 1 for a matched model, with Σ dof · mean ~ χ²(Σ dof)
//   low, high     what a matched model leaves once in a million on either side
//   r1            Σ z(k) z(k−1) / Σ z² of one output, z = ν / √Σ_ii; near 0 for white innovations, within ±2.6 / √W at
//   1 % gated share   rows that were measured and good, but rejected, among those that were good
//
//   reading       mean ≪ low: R (or Q) is too large; mean ≫ high with r1 ≈ 0: R is too small; r1 > 0.2: Q is too small,
//                 or the model is wrong
//
// Two windows: the last 60 steps, and the last 60 blocks of 60 steps (the newest of them as full as it is). Steps count
// in the modes converging, tracking, degraded and predict_only. z(k) z(k−1) counts where both steps have the row.
// Errors: none. Edge rules: without a row the figures are NaN. Thread rule: one thread. Allocation: none after
// construction. Source: Bar-Shalom, Li and Kirubarajan (2001), §5.4; χ² quantile after Wilson and Hilferty (1931).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::estimation {

struct ConsistencyWindow {
  double mean_nis = 0.0;  // per degree of freedom
  double low = 0.0, high = 0.0;
  double gated_share = 0.0;  // 0 … 1
};

struct Consistency {
  ConsistencyWindow short_window, long_window;
  double autocorrelation = 0.0;  // r1 of the output in which it is largest by amount, long window
};

class ConsistencyMonitor {
 public:
  static constexpr std::size_t kSteps = 60;   // of the short window, and of a block
  static constexpr std::size_t kBlocks = 60;  // of the long window

  explicit ConsistencyMonitor(std::size_t n_y);

  void take(const TwinStep& step);
  [[nodiscard]] Consistency read() const;

  template <class Archive>
  void archive(Archive& a) {
    a(steps_, blocks_, products_, squares_, previous_, step_, block_, in_block_);
  }

 private:
  struct Sums {
    double nis = 0.0;
    std::int64_t dof = 0;
    std::int64_t rows = 0;      // good
    std::int64_t rejected = 0;  // of those
    void add(const Sums& other);
    template <class Archive>
    void archive(Archive& a) {
      a(nis, dof, rows, rejected);
    }
  };
  [[nodiscard]] static ConsistencyWindow window_of(const Sums& sums);

  std::array<Sums, kSteps> steps_;          // ring
  std::array<Sums, kBlocks> blocks_;        // ring
  std::vector<double> products_, squares_;  // n_y × kBlocks, block by block
  std::vector<double> previous_;            // z of the step before, NaN: none
  std::size_t step_ = 0, block_ = 0;        // where the next one goes
  std::size_t in_block_ = 0;
};

// q with P(χ²(dof) ≤ q) = Φ(z).
[[nodiscard]] double chi_square_quantile(std::int64_t dof, double z);

}  // namespace twinkeeper::estimation
