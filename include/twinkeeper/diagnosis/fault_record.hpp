// FaultRecord: what the newest steps of a twin have left, for the question what fault explains them (fault_isolation.hpp).
//
//   symbol      shape      unit      meaning, of step k
//   ν           n_y        output    innovation of the twin's own filter; NaN: the row is not good
//   rejected    n_y        –         by the gate
//   L_V ν_V     n_x        state     its correction, and by what else the prediction was moved (filter_step.hpp)
//   R           n_y        output²   R_ii; only of a twin with means, else that of the model
//   A, C        n_x × n_x, n_y × n_x  –  of a nonlinear model
//   T           n_x × n_x  state     T Tᵀ = P(k|k−1), where k is a multiple of kBlock
//
// Steps are named by ticks, one after the other; a ring holds the newest kWindow + kBlock and `older` before them. A step
// that is done again takes the place of what it was. Whoever looks knows from which step on they belong together.
//
// Thread rule: one thread. Allocation: none after construction.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/estimation/filter_step.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::diagnosis {

class FaultRecord {
 public:
  static constexpr std::int64_t kWindow = 240;  // W, the most steps that are looked at
  static constexpr std::int64_t kBlock = 16;
  // Whether take() looks at the root of this step.
  [[nodiscard]] static constexpr bool keeps_root(std::int64_t k) { return k % kBlock == 0; }

  struct Step {  // column-major; null: not kept
    const double *innovation, *correction, *R, *A, *C;
    const std::uint8_t* rejected;
  };

  // `means`: outputs may be means of several samples.
  FaultRecord(const model::StateSpace& model, base::Duration period, bool means, std::int64_t older);

  void take(std::int64_t k, const estimation::TwinStep& step, const estimation::FilterStep& filter);
  // What follows step k is predicted from a state that was moved by so much.
  void move(std::int64_t k, const Eigen::VectorXd& by);

  [[nodiscard]] Step at(std::int64_t k) const;
  [[nodiscard]] const double* root(std::int64_t k) const {  // of a multiple of kBlock
    return roots_.data() + slot(k) / static_cast<std::size_t>(kBlock) * n_ * n_;
  }
  [[nodiscard]] base::Instant time(std::int64_t k) const { return newest_time_ + (k - newest_) * period_; }

  // The newest kWindow + kBlock steps and `older` before them, into one of the same model.
  template <class Archive>
  void archive(Archive& a, std::int64_t older) {
    a(newest_, newest_time_);
    for (std::int64_t k = newest_ - kWindow - kBlock - older + 1; k <= newest_ && a.ok(); ++k) {
      a.raw(values_.data() + slot(k) * stride_, stride_ * sizeof(double));
      a.raw(rejected_.data() + slot(k) * p_, p_);
      if (k % kBlock == 0) a.raw(roots_.data() + slot(k) / kBlock * n_ * n_, n_ * n_ * sizeof(double));
    }
  }

 private:
  [[nodiscard]] std::size_t slot(std::int64_t k) const { return static_cast<std::size_t>(k & (slots_ - 1)); }

  std::size_t n_, p_;
  bool means_, nonlinear_;
  std::size_t stride_;
  std::int64_t slots_;  // a power of two
  base::Duration period_;
  Eigen::MatrixXd A_, C_;  // of a step that was not linearised
  std::vector<double> values_, roots_;
  std::vector<std::uint8_t> rejected_;
  std::int64_t newest_ = 0;
  base::Instant newest_time_;
};

}  // namespace twinkeeper::diagnosis
