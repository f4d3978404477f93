// Limits for an asked run length: what calibrate() puts its regimes together from.
//
//   symbol  unit   meaning
//   z       –      innovation in its own robust standard deviation
//   φ       –      of the AR(1) that z resembles; λ = (1 + φ) / (1 − φ), its long-run variance
//   L       rows   block: 3 decorrelation times −1 / ln φ; Σ_L z / √(L λ) is nearly white
//   h, k    –      limit and drift of a CUSUM of blocks; its run length is Siegmund's with h + c, c by simulation of the
//                  AR(1) at a run length of 300 blocks: beyond it the logarithm grows by 2k per h, whatever c
//   r(v)    1/row  clusters of a windowed statistic beyond v: −ln P(extreme of T rows not beyond v) / T, from stretches
//                  of the healthy rows put together at random; ln r = a − b (v − 1 − ln v) carries it on to where the
//                  rows show none
//
// Errors: none. Thread rule: pure functions; simulations are seeded. Allocates.
// Source: Siegmund, Sequential Analysis (1985); Künsch, Annals of Statistics 17 (1989), for the stretches; the exponent is
// Cramér's of χ²; Huber, Robust Statistics (1981), §6.4, proposal 2.
#pragma once

#include <cstddef>
#include <vector>

#include "twinkeeper/diagnosis/windowed_nis.hpp"

namespace twinkeeper::identification {

// s with mean min((v − median v)², (2 s)²) = 0.9206 s², which is the standard deviation of normal values: those beyond
// 2 s count as if they lay there. Begun at 1.4826 · median |v − median v|; NaN are passed over; 0 without numbers.
[[nodiscard]] double robust_scale(std::vector<double> values);
[[nodiscard]] double median(std::vector<double> values);

struct Memory {
  double first = 0.0;          // autocorrelation of neighbouring rows
  double phi = 0.0;            // what the blocks are made for, ≥ 0
  double decorrelation = 0.0;  // rows
  int block = 1;
  double block_scale = 1.0;  // √λ
};
// Of rows in order; a NaN parts them. Correlation within chance counts as none, negative one too: limits are then on the
// safe side. Where it lasts longer than the AR(1) of its first lag, by the lags or by the sums of neighbouring rows, φ is
// that of the same long-run variance.
// `about_own_means`: of what each stretch is about its mean, as where each was held out of another model.
[[nodiscard]] Memory memory_of(std::vector<double> z, bool about_own_means = false);

// A two-sided CUSUM of blocks of AR(1) residuals.
class CusumRunLength {
 public:
  CusumRunLength(double drift, const Memory& memory);
  [[nodiscard]] double rows(double limit) const;        // mean number until an alarm
  [[nodiscard]] double limit(double run_length) const;  // rows

 private:
  double drift_;
  int block_;
  double shift_ = 0.0;  // c of white residuals − c
};

// How often a windowed statistic with expectation 1 goes beyond a value.
struct CrossingRate {
  double a = 0.0, b = 1.0;
  [[nodiscard]] double per_row(double value) const;
  [[nodiscard]] double above(double rate) const;  // the value > 1 that is crossed so often
  [[nodiscard]] double below(double rate) const;  // the value < 1
};
struct NisRow {
  double nis = 0.0;
  int dof = 0;
};
// `stretch`: rows that stay together.
[[nodiscard]] CrossingRate nis_rate(const std::vector<NisRow>& rows, diagnosis::WindowedNis statistic, int window,
                                    std::size_t stretch);
struct NoiseRates {
  CrossingRate up, down;
};
[[nodiscard]] NoiseRates noise_rates(const std::vector<double>& z, int window, std::size_t stretch);

}  // namespace twinkeeper::identification
