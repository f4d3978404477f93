// WindowedNis: whether the innovations of all outputs together are larger than their covariance promises.
//
//   N = Σ min(nis, c(dof)) / Σ dof   over the last W steps that had rows
//   symbol  unit  meaning
//   nis     –     νᵀ Σ⁻¹ ν of one step's rows; dof: how many
//   c(dof)  –     what a matched model exceeds as seldom as one row its gate, or dof (1 + W (h − 1) / 4) if that is more:
//                 a few outliers are no departure, and five steps can be one, however many rows they have
//   N       –     1 for a matched model; Σ dof · N ~ χ²(Σ dof)
//   h       –     limit at full windows (W · n_y rows): with fewer rows 1 + (h − 1) √(W n_y / Σ dof)
// Edge rules: steps without rows don't count; below a full window there is no value. Thread rule: one thread.
// Allocation: none after construction. Source: Bar-Shalom, Li and Kirubarajan (2001), §5.4.
#pragma once

#include <optional>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

class WindowedNis {
 public:
  WindowedNis() = default;
  WindowedNis(int window, int n_y, double gate);
  // h of a full window, of which the caps are made; absent: that of a matched model, once in 10⁸. What is in the window stays.
  void set_limit(const std::optional<double>& limit);

  void add(double nis, int dof, base::Instant time);
  void reset();

  [[nodiscard]] bool full() const { return count_ == steps_.size() && count_ > 0; }
  [[nodiscard]] double value() const { return dof_ > 0 ? sum_ / dof_ : 1.0; }
  [[nodiscard]] int dof() const { return dof_; }
  // Of the window as it is.
  [[nodiscard]] double limit() const;
  // When the value was last what it should be.
  [[nodiscard]] base::Instant onset() const { return onset_; }

  template <class Archive>
  void archive(Archive& a) {
    a(steps_, next_, count_, sum_, dof_, onset_);
  }

 private:
  struct Step {
    double nis = 0.0;
    int dof = 0;
    template <class Archive>
    void archive(Archive& a) {
      a(nis, dof);
    }
  };
  std::vector<Step> steps_;           // ring
  std::vector<double> caps_, gated_;  // by dof: c, and what the gate makes of it
  std::optional<double> limit_;
  int full_dof_ = 0;
  std::size_t next_ = 0, count_ = 0;
  double sum_ = 0.0;
  int dof_ = 0;
  base::Instant onset_;
};

}  // namespace twinkeeper::diagnosis
