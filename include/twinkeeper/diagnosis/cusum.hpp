// TwoSidedCusum: cumulative sums of a standardised residual, upwards and downwards.
//
//   S⁺ ← min(c, max(0, S⁺ + z − k))        S⁻ ← min(c, max(0, S⁻ − z − k))
//   symbol  unit  meaning
//   z       –     residual in its own standard deviations
//   k       –     drift: half the shift that is found fastest
//   c       –     cap
//   R       –     R ← max(0, R + min(r/2, m (m/2 ∓ z))), m the mean of ±z since the onset: the likelihood ratio of a
//                 residual as it was before the onset to one that stays as it is
//   r       –     ln 10⁴: R beyond it says that the shift is over, long before a sum at its cap has come down; at most
//                 half of it a step, as one residual proves nothing
// Side: the sum that is greater. Its onset is the step after its last zero, its mean that of z since then.
// Thread rule: one thread. Allocation: none.
// Source: Page, Biometrika 41 (1954); Siegmund, Sequential Analysis (1985), for the run length.
#pragma once

#include <cstdint>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

class TwoSidedCusum {
 public:
  TwoSidedCusum() = default;
  TwoSidedCusum(double drift, double cap) : drift_(drift), cap_(cap) {}

  void add(double z, base::Instant time);
  void reset();
  void set_cap(double cap) { cap_ = cap; }  // of a sum that begins anew

  [[nodiscard]] double value() const { return rising() ? up_.sum : down_.sum; }
  [[nodiscard]] bool rising() const { return up_.sum >= down_.sum; }
  [[nodiscard]] base::Instant onset() const { return side().onset; }
  [[nodiscard]] double mean() const;  // of z since the onset, with its sign; 0 at zero
  [[nodiscard]] bool returned() const { return side().back > kReturned; }

  template <class Archive>
  void archive(Archive& a) {
    a(up_, down_);
  }

 private:
  struct Side {
    double sum = 0.0;
    double total = 0.0;  // of z since the onset
    double back = 0.0;   // R
    std::int64_t count = 0;
    base::Instant onset;

    template <class Archive>
    void archive(Archive& a) {
      a(sum, total, back, count, onset);
    }
  };
  void add_to(Side& side, double towards, double z, base::Instant time) const;
  [[nodiscard]] const Side& side() const { return rising() ? up_ : down_; }

  static constexpr double kReturned = 9.2103;

  double drift_ = 0.5;
  double cap_ = 32.0;
  Side up_, down_;
};

// BlockMean: sums of L residuals, so that what goes into a CUSUM is nearly white where the residuals are not.
class BlockMean {
 public:
  // True if `z` was the last of `length`.
  bool add(double z, int length, base::Instant time) {
    if (count_ == 0) begin_ = time;
    sum_ = count_ == 0 ? z : sum_ + z;
    if (++count_ < length) return false;
    count_ = 0;
    return true;
  }
  void reset() { count_ = 0; }
  [[nodiscard]] double sum() const { return sum_; }  // of the block that is full
  [[nodiscard]] base::Instant begin() const { return begin_; }

  template <class Archive>
  void archive(Archive& a) {
    a(sum_, count_, begin_);
  }

 private:
  double sum_ = 0.0;
  int count_ = 0;
  base::Instant begin_;
};

// Mean number of steps of white N(shift, 1) residuals until the one-sided sum exceeds `limit`: Siegmund's formula with
// the overshoot correction 1.166. Two-sided with shift 0: half of it.
[[nodiscard]] double cusum_run_length(double drift, double limit, double shift = 0.0);

}  // namespace twinkeeper::diagnosis
