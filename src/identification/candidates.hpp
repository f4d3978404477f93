// The pieces that identify() is put together from: scaling, folds, starts out of subspaces, and their refinement.
//
// Thread rule: plain values, pure functions. Allocates.
#pragma once

#include <optional>
#include <vector>

#include "identification/long_regression.hpp"
#include "identification/output_error.hpp"
#include "identification/subspace.hpp"

namespace twinkeeper::identification {

struct Scale {  // scaled = (value − zero) / unit
  Eigen::VectorXd u_zero, u_unit, y_zero, y_unit;
};
// Means and standard deviations; the unit of what does not move is 1.
[[nodiscard]] Scale scale_of(const Experiments& experiments);
[[nodiscard]] Experiments scaled(const Experiments& experiments, const Scale& scale);

struct Fold {
  Scale scale;                  // of the training part
  Experiments train, validate;  // scaled by it
  double cap = 1.0;             // exp(−1/N), N being the ticks it is trained on
  std::vector<Subspace> subspaces;
  std::optional<LongRegression> past;  // in their place, of a record under feedback
};

// A model to begin with (`identify --from`), in physical units, without states that only wait.
struct WarmStart {
  Eigen::MatrixXd A, B, C, D, K;
  Eigen::VectorXd u_op, y_op;
  std::vector<Eigen::Index> delays;  // by input, ticks
};

[[nodiscard]] double largest_pole(Eigen::Index ticks);

// Horizons that a record of so many ticks has rows for, the usual ones if it has.
[[nodiscard]] std::vector<Eigen::Index> horizons(const Experiments& experiments);

struct Found {
  LinearModel model;  // K where it came out of the fit
  Sections sections;
  Eigen::VectorXd errors;  // mean squares by output, of what was fitted
  double cost = 0.0;
  bool drawn_in = false;  // its poles were beyond the cap; what inputs do is that of the simulation then
};
// The poles and outputs of a model that is there.
[[nodiscard]] Fitted warm_start(const Fold& fold, Focus focus, const WarmStart& from);
// The best start for `n` states of every horizon and weighting; nothing if no subspace has as many.
[[nodiscard]] std::optional<Fitted> best_start(const Fold& fold, Focus focus, Eigen::Index n);
// `steps`: at most. Without `feed_through` D stays zero.
[[nodiscard]] Found refine(const Fold& fold, Focus focus, Sections start, int steps, bool feed_through = true);

}  // namespace twinkeeper::identification
