// How well a model predicts a log: K rows ahead with the steady gain, or simulated freely.
//
//   x(k+1|k) = A x(k|k−1) + B u(k) + d + K Σ(:,V) Σ_VV⁻¹ ν_V(k)     ν = y − C x(k|k−1) − D u      V: the rows measured
//   ŷ(k|k−H) = C x + D u(k) with x run from x(k−H+1|k−H) without any y, u up to and including k
//
//   symbol  shape      unit     meaning
//   K, Σ    …          …        steady predictor gain and innovation covariance (model/analysis.hpp)
//   H       –          ticks    horizon; absent: infinite, so no y is used but for x0
//   x0      n_x        state    deviation from the operating point at the first tick: zero, or what minimises the
//                               squared errors (whitened by Σ; one-step errors with a finite H, else simulated ones)
//                               over the first kRowsForStart rows; the smallest one where these leave it open.
//                               Augmented states begin at their `initial` instead of zero, and an estimate has
//                               ((z − initial) / initial_std)² of each among its squared errors
//
// A nonlinear template is predicted by its equations and an extended filter instead (nonlinear_predictor.hpp).
// Ticks before H run free from x0. Inputs are limited to min…max; one that is missing is held, before its first value
// at the operating point. A tick without a row is a tick without measurements. More than kLongestGap ticks without a
// row begin a new experiment with an x0 of its own. State limits are not applied.
//   fit         100 · (1 − |y − ŷ| / |y − mean(y)|) in %, over the rows that are scored
//   persistence the same for ŷ(k) = y(k−H), absent with an infinite H
// Scored are rows with a measured y; with an estimated x0 not those that it was estimated from.
// Errors: invalid_argument (no steady state and a finite horizon). Thread rule: pure. Allocates.
// Source: Ljung, System Identification (1999), §16.4 for the fit; Söderström (2002) for the predictor.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "twinkeeper/base/result.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::identification {

inline constexpr std::size_t kRowsForStart = 50;
inline constexpr std::int64_t kLongestGap = 10;  // ticks

struct Record {                    // a log on the model's grid, in log order
  std::vector<std::int64_t> tick;  // by row, never falling
  Eigen::MatrixXd u, y;            // rows × n_u, rows × n_y; absolute, NaN: missing
};

enum class Start { zero, estimate };

struct OutputScore {
  std::size_t rows = 0;      // scored
  double fit = 0.0;          // %; NaN without two different values
  double rmse = 0.0;         // unit of the output
  double persistence = 0.0;  // %; NaN: none
};

struct Comparison {
  Eigen::MatrixXd predicted;        // rows × n_y, absolute
  std::vector<bool> scored;         // by row
  std::vector<OutputScore> scores;  // by output
  std::size_t experiments = 1;
};

// A comparison row by row, in memory that does not grow with the rows: what it holds are the first kRowsForStart rows of an
// experiment, until x0 is known, and the last H ticks. `horizon`: at least 1. The model outlives it.
class StreamedComparison {
 public:
  // Of each row in order, later than it was added: y and ŷ, absolute.
  using OnRow = std::function<void(const Eigen::VectorXd& y, const Eigen::VectorXd& predicted, bool scored)>;
  [[nodiscard]] static base::Result<StreamedComparison> of(const model::StateSpace& model,
                                                           std::optional<std::int64_t> horizon, Start start,
                                                           OnRow on_row);
  StreamedComparison(StreamedComparison&&) noexcept;
  ~StreamedComparison();

  // Ticks never fall; absolute, NaN: missing.
  void add(std::int64_t tick, const Eigen::VectorXd& u, const Eigen::VectorXd& y);
  struct Result {
    std::vector<OutputScore> scores;  // by output
    std::size_t experiments = 1;
  };
  [[nodiscard]] Result finish();  // ends it

 private:
  class Parts;
  explicit StreamedComparison(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// The same of a whole record. `horizon`: at least 1.
[[nodiscard]] base::Result<Comparison> compare(const model::StateSpace& model, const Record& record,
                                               std::optional<std::int64_t> horizon, Start start);

}  // namespace twinkeeper::identification
