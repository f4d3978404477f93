#include "identification/excitation.hpp"

#include <algorithm>
#include <cmath>

#include "identification/candidates.hpp"
#include "identification/decompositions.hpp"
#include "identification/long_regression.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kFewRows = 200;
constexpr Index kFewChanges = 4;
constexpr double kOneSine = 0.995;         // part of the power that two components of a window hold
constexpr double kDependent = 1.0 - 1e-6;  // part of the variance that other inputs explain
constexpr double kLeastMovement = 1e-6;    // of an input's variance

struct Row {
  double mean = 0.0;
  double variance = 0.0;
  Index changes = 0;
};

const MatrixXd& of(const Experiment& data, bool input) { return input ? data.u : data.y; }

Row examine(const Experiments& experiments, bool input, Index i) {
  Row out;
  double count = 0.0;
  for (const auto& e : experiments) {
    const auto& values = of(e, input);
    for (Index k = 0; k < e.count(); ++k) {
      out.mean += values(i, k);
      count += 1.0;
      if (k > 0 && values(i, k) != values(i, k - 1)) ++out.changes;
    }
  }
  out.mean /= count;
  for (const auto& e : experiments) out.variance += (of(e, input).row(i).array() - out.mean).square().sum();
  out.variance /= count;
  return out;
}

// Windows of an input as points: a constant and a sine need two directions, anything else needs more.
double power_of_two_components(const Experiments& experiments, Index input, double mean) {
  const Index window = std::clamp<Index>(ticks_in(experiments) / 5, 8, 100);
  MatrixXd power = MatrixXd::Zero(window, window);
  for (const auto& e : experiments) {
    const Index most = e.count() - window;
    const Index stride = std::max<Index>(1, most / 2000);
    for (Index k = 0; k <= most; k += stride) {
      const VectorXd part = e.u.row(input).segment(k, window).transpose().array() - mean;
      power.selfadjointView<Eigen::Lower>().rankUpdate(part);
    }
  }
  power.triangularView<Eigen::StrictlyUpper>() = power.transpose().triangularView<Eigen::StrictlyUpper>();
  const VectorXd values = symmetric_eigenvalues(power);
  const double all = values.sum();
  return all > 0.0 ? values.tail(2).sum() / all : 1.0;
}

void examine_dependence(const Experiments& experiments, const std::vector<std::string>& names,
                        const std::vector<Row>& rows, Excitation& out) {
  const auto m = static_cast<Index>(names.size());
  MatrixXd correlation = MatrixXd::Zero(m, m);
  for (const auto& e : experiments) {
    MatrixXd scaled = e.u;
    for (Index i = 0; i < m; ++i) {
      const Row& row = rows[static_cast<std::size_t>(i)];
      scaled.row(i) = (e.u.row(i).array() - row.mean) / std::sqrt(row.variance);
    }
    correlation += scaled * scaled.transpose();
  }
  correlation /= static_cast<double>(ticks_in(experiments));
  // In order, so that of two copies the second one is named.
  for (Index i = 1; i < m; ++i) {
    const MatrixXd weights = least_squares(correlation.topLeftCorner(i, i), correlation.block(0, i, i, 1));
    const double explained = (weights.transpose() * correlation.block(0, i, i, 1))(0, 0);
    if (explained < kDependent) continue;
    std::string from;
    for (Index j = 0; j < i; ++j) {
      if (std::abs(weights(j, 0)) > 1e-3) from += (from.empty() ? "" : " and ") + names[static_cast<std::size_t>(j)];
    }
    out.faults.push_back("the input " + names[static_cast<std::size_t>(i)] + " follows from " + from +
                         ": what each of them does cannot be told apart; leave one out, or move them one by one");
  }
}

}  // namespace

Excitation examine_excitation(const Experiments& experiments, const std::vector<std::string>& inputs,
                              const std::vector<std::string>& outputs) {
  Excitation out;
  const Index ticks = ticks_in(experiments);
  if (ticks < kFewestRows) {
    out.faults.push_back(std::to_string(ticks) + " samples are too few for a model that is worth anything; accepted: " +
                         std::to_string(kFewestRows) + " at least");
    return out;
  }
  if (ticks < kFewRows) {
    out.warnings.push_back("only " + std::to_string(ticks) +
                           " samples: the order and the figures are uncertain; several hundred are better");
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Row row = examine(experiments, false, static_cast<Index>(i));
    if (!(row.variance > 1e-20 * row.mean * row.mean)) {
      out.faults.push_back("the output " + outputs[i] + " never changes: nothing can be learnt about it");
    }
  }
  std::vector<Row> rows;
  bool all_move = true;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto at = static_cast<Index>(i);
    rows.push_back(examine(experiments, true, at));
    if (!(rows.back().variance > 1e-20 * rows.back().mean * rows.back().mean)) {
      out.faults.push_back("the input " + inputs[i] +
                           " never changes: what it does cannot be told; move it, or leave it out");
      all_move = false;
      continue;
    }
    if (rows.back().changes < kFewChanges) {
      out.warnings.push_back("the input " + inputs[i] + " changes " + std::to_string(rows.back().changes) +
                             " times only: little more than its steady effect can be told");
    } else if (power_of_two_components(experiments, at, rows.back().mean) > kOneSine) {
      out.faults.push_back("the input " + inputs[i] +
                           " is a single sine: it tells how the plant answers at one frequency only; use steps of "
                           "several lengths, or several sines");
    }
  }
  if (all_move && inputs.size() > 1) examine_dependence(experiments, inputs, rows, out);
  return out;
}

std::vector<std::string> faults_of_loop(const Experiments& experiments, const std::vector<std::string>& inputs) {
  if (inputs.empty()) return {"a closed loop has inputs; accepted: --closed-loop with --inputs"};
  const Experiments data = scaled(experiments, scale_of(experiments));
  const std::vector<Index> lags = horizons(data);
  std::vector<std::string> faults;
  if (lags.empty()) return faults;
  const VectorXd own = own_movement(data, lags.front());
  for (Index j = 0; j < own.size(); ++j) {
    if (own(j) > kLeastMovement) continue;
    faults.push_back(
        "input " + inputs[static_cast<std::size_t>(j)] +
        " follows from what was before it: nothing but the controller moves it; record steps of the set point");
  }
  return faults;
}

}  // namespace twinkeeper::identification
