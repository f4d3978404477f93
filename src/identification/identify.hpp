// From a record to a model: candidates of every order, judged on what they were not fitted to, the smallest good one
// refined on all of it, its noise, and a verdict (docs/identification.md tells the steps for users).
//
//   candidates  orders 1 … kMostStates · focus of the fit; started from subspaces of horizons 8, 15 and 20 and both
//               weightings, of which the best start on the training part is refined. ARX models beside them
//   judged      on four folds (fitted to the first 70 %, the last 70 %, the first and the last half; judged on the rest,
//               which leaves drifts no place to hide) by the mean of the outputs' fit of the
//               free simulation, without inputs by that of the one-step prediction
//   chosen      the smallest order within kWithin points of the best; of its two focuses the prediction, if it is as near
//   replaced    with `from`: rejected if on the last 30 % the model that is there, simulated or one step ahead, is better by
//               more than kWithin points on the mean of the outputs
//   poles       |λ| ≥ exp(−1/N), N being the ticks of the record, are brought back: no model grows
//
// What is returned is in physical units, as deviations from an operating point.
// Errors: corrupt, with every reason, where the record cannot tell (excitation.hpp). A model that does not describe the
// record is returned, with the verdict `reject`.
// Thread rule: pure functions; independent jobs go through `for_each`, which may run them on several threads at once.
// The result does not depend on that. Allocates.
// Source: the steps' own headers; Ljung, System Identification (1999), §16 for the choice by held-out data.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "identification/candidates.hpp"
#include "identification/experiments.hpp"
#include "identification/output_error.hpp"
#include "identification/residual_tests.hpp"
#include "identification/uncertainty.hpp"

namespace twinkeeper::identification {

inline constexpr Eigen::Index kMostStates = 10;
inline constexpr double kWithin = 0.5;  // points of fit

enum class Method { automatic, n4sid, arx, var };

struct IdentifySettings {
  Method method = Method::automatic;
  std::optional<Eigen::Index> order;
  // The record was made under feedback: starts from a long regression on the past, prediction focus alone, no direct
  // term, judged one step ahead.
  bool closed_loop = false;
  // Poles and outputs to begin with, in place of subspaces; its own order. Against it the new model is judged.
  std::optional<WarmStart> from = {};
  // Runs job(0) … job(count−1), in any order; what each does is independent of the others.
  std::function<void(std::size_t count, const std::function<void(std::size_t)>& job)> for_each;
};

// What a model is made by: enough to make another of the same kind from other rows.
struct Recipe {
  bool lags = false;  // ARX or VAR
  Focus focus = Focus::prediction;
  Eigen::Index order = 0;            // states, or lags
  std::vector<Eigen::Index> delays;  // by input, ticks
};

enum class Verdict { accept, prediction_only, reject };

struct CandidateFigures {
  std::string kind;           // "subspace, simulation focus", "ARX" …
  Eigen::Index order = 0;     // states, or lags of ARX
  double mean = 0.0;          // fit over all folds, %
  std::vector<double> folds;  // by fold
};

struct OutputFigures {  // %, held out: the mean of the first two folds
  double simulation = 0.0, simulation_worst = 0.0, one_step = 0.0, ten_steps = 0.0;
  double persistence_one = 0.0, persistence_ten = 0.0;
  double arx_simulation = 0.0, arx_one_step = 0.0;
};

struct ParameterEstimate {  // of a template (grey_box.hpp)
  std::string name, unit;
  double start = 0.0, value = 0.0, std = 0.0, low = 0.0, high = 0.0;
  int bound = 0;             // −1: it stands at low, 1: at high, and the record would have it beyond
  bool identifiable = true;  // else the record does not tell it, and std says nothing
};

// What a model and the one that it is to replace reach on the same rows, which the new one was not fitted to, in %.
struct Replaced {
  std::vector<double> old_simulation, new_simulation;  // by output; empty without inputs
  std::vector<double> old_one_step, new_one_step;
};

// What reports show of a model (text: app/identification_report.cpp). All of it in physical units but for poles, in ticks.
struct Identified {
  Eigen::MatrixXd A, B, C, D, K, Ry, Q, R, S;
  Eigen::VectorXd u_op, y_op;
  std::string kind;
  Eigen::Index order = 0;
  std::vector<Eigen::Index> delays;          // by input, ticks; states that only wait stand behind the others in A
  std::vector<CandidateFigures> candidates;  // best first
  std::vector<OutputFigures> outputs;
  std::vector<ResidualTests> residuals;       // by output: of the one-step errors on all rows
  LinearUncertainty uncertainty;              // of gains and poles; empty of templates and of very large models
  std::vector<ParameterEstimate> parameters;  // of a template
  std::optional<Replaced> replaced;           // with `from`: on the last 30 % of the rows, by a fit to those before
  Eigen::VectorXd rmse;                       // by output, of the free simulation of all rows; of a template
  Eigen::VectorXd correlations;               // canonical ones of the longest horizon; empty: no subspace was tried
  Verdict verdict = Verdict::accept;
  std::vector<std::string> reasons;  // of a verdict that is not `accept`
  std::vector<std::string> warnings;
};

[[nodiscard]] base::Result<Identified> identify(const Experiments& experiments, const std::vector<std::string>& inputs,
                                                const std::vector<std::string>& outputs,
                                                const IdentifySettings& settings);

// A model of the same kind, order and dead times from these rows, without candidates, figures and verdict.
// Error: corrupt, where the rows are too few for it.
[[nodiscard]] base::Result<Identified> identify_again(const Experiments& experiments, const Recipe& recipe);

}  // namespace twinkeeper::identification
