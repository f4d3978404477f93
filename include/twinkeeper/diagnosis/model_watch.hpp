// ModelWatch: whether a model still fits the machine as well as when it was calibrated, regime by regime.
//
//   m = Σ min(nis, c(dof)) / Σ dof       r = (Σ z(k) z(k−1) / pairs) / (Σ z² / rows)      over a block of L steps
//   symbol  unit   meaning
//   m       –      mean NIS per degree of freedom; c(dof): what a matched model exceeds as seldom as one row its gate
//   z, r    –      innovation of one output in its own standard deviations, cut to its gate; its lag-1 autocorrelation
//   L       steps  those of the regime that were tested, gaps in between or not; 0: the regime is not watched
//
// A block is outside if m or one r is outside of its band. Steps of blocks outside that follow one another are counted;
// one block within its band makes them none.
// Edge rules: pairs are of neighbouring steps only (part()). Thread rule: one thread. Allocation: none after construction.
// Source: Bar-Shalom, Li and Kirubarajan (2001), §5.4, for the two statistics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

// The figures of one block.
class ModelBlock {
 public:
  ModelBlock() = default;
  ModelBlock(std::size_t n_y, double gate);

  // `z` by output, NaN: none.
  void add(const double* z, double nis, int dof);
  void part();   // the next step is no neighbour of the newest
  void reset();  // the next block; its first step is a neighbour of the newest

  [[nodiscard]] std::int64_t steps() const { return steps_; }
  [[nodiscard]] double mean_nis() const;                           // NaN: no rows
  [[nodiscard]] double autocorrelation(std::size_t output) const;  // NaN: fewer than kLeastPairs

  template <class Archive>
  void archive(Archive& a) {
    a(outputs_, steps_, nis_, dof_);
  }

 private:
  static constexpr std::int64_t kLeastPairs = 20;
  struct Output {
    double product = 0.0, square = 0.0;
    std::int64_t pairs = 0, rows = 0;
    double previous = std::numeric_limits<double>::quiet_NaN();

    template <class Archive>
    void archive(Archive& a) {
      a(product, square, pairs, rows, previous);
    }
  };
  std::vector<Output> outputs_;
  std::vector<double> caps_;  // by dof
  std::int64_t steps_ = 0, dof_ = 0;
  double nis_ = 0.0;
};

struct Band {
  double low = 0.0, high = 0.0;
  [[nodiscard]] bool holds(double value) const { return !(value < low || value > high); }  // NaN: nothing against it
};

struct ModelBands {
  int block = 0;  // L; 0: not watched
  Band nis;
  std::vector<Band> autocorrelation;  // by output
};

class ModelWatch {
 public:
  // What a block was outside of.
  struct Outside {
    std::optional<std::size_t> output;  // of its autocorrelation; absent: of the mean NIS
    double value = 0.0;

    template <class Archive>
    void archive(Archive& a) {
      a(output, value);
    }
  };

  ModelWatch() = default;
  ModelWatch(std::size_t regimes, std::size_t n_y, double gate);

  // A step of the regime `place`; true if a block has ended with it.
  bool add(std::size_t place, const ModelBands& bands, const double* z, double nis, int dof, base::Instant time);
  void part(std::size_t place) { regimes_[place].block.part(); }
  void begin_block_anew(std::size_t place);

  // Steps in a row of blocks outside, and when the first of them began.
  [[nodiscard]] std::int64_t steps_outside(std::size_t place) const { return regimes_[place].steps_outside; }
  [[nodiscard]] base::Instant onset(std::size_t place) const { return regimes_[place].onset; }
  [[nodiscard]] const Outside& outside(std::size_t place) const { return regimes_[place].outside; }  // the newest block
  [[nodiscard]] std::size_t regimes() const { return regimes_.size(); }

  template <class Archive>
  void archive(Archive& a) {
    a(regimes_);
  }

 private:
  struct Regime {
    ModelBlock block;
    std::int64_t steps_outside = 0;
    base::Instant begin, onset;
    Outside outside;

    template <class Archive>
    void archive(Archive& a) {
      a(block, steps_outside, begin, onset, outside);
    }
  };
  std::vector<Regime> regimes_;
};

}  // namespace twinkeeper::diagnosis
