#include "identification/candidates.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::array<Index, 3> kHorizons{8, 15, 20};
constexpr std::array<Index, 2> kShortHorizons{5, 3};

void mean_and_unit(const Experiments& experiments, bool input, VectorXd& zero, VectorXd& unit) {
  const auto values = [&](const Experiment& e) -> const MatrixXd& { return input ? e.u : e.y; };
  const Index size = values(experiments.front()).rows();
  const auto count = static_cast<double>(ticks_in(experiments));
  zero = VectorXd::Zero(size);
  VectorXd squares = VectorXd::Zero(size);
  for (const auto& e : experiments) zero += values(e).rowwise().sum();
  zero /= count;
  for (const auto& e : experiments) squares += (values(e).colwise() - zero).rowwise().squaredNorm();
  unit = (squares / count).cwiseSqrt();
  for (Index i = 0; i < size; ++i) {
    if (!(unit(i) > 1e-12 * std::abs(zero(i)))) unit(i) = 1.0;
  }
}

}  // namespace

Scale scale_of(const Experiments& experiments) {
  Scale out;
  mean_and_unit(experiments, true, out.u_zero, out.u_unit);
  mean_and_unit(experiments, false, out.y_zero, out.y_unit);
  return out;
}

Experiments scaled(const Experiments& experiments, const Scale& scale) {
  Experiments out = experiments;
  for (auto& e : out) {
    e.u = scale.u_unit.cwiseInverse().asDiagonal() * (e.u.colwise() - scale.u_zero);
    e.y = scale.y_unit.cwiseInverse().asDiagonal() * (e.y.colwise() - scale.y_zero);
  }
  return out;
}

double largest_pole(Index ticks) { return base::exp(-1.0 / static_cast<double>(std::max<Index>(ticks, 2))); }

std::vector<Index> horizons(const Experiments& experiments) {
  const Index signals = experiments.front().u.rows() + experiments.front().y.rows();
  const auto fits = [&](Index s) {
    Index rows = 0;
    for (const auto& e : experiments) rows += std::max<Index>(e.count() - 2 * s + 1, 0);
    return rows >= 3 * s * signals;
  };
  std::vector<Index> out;
  for (const Index s : kHorizons) {
    if (fits(s)) out.push_back(s);
  }
  for (const Index s : kShortHorizons) {
    if (out.empty() && fits(s)) out.push_back(s);
  }
  return out;
}

Fitted warm_start(const Fold& fold, Focus focus, const WarmStart& from) {
  const Index m = fold.train.front().u.rows();
  const Index p = fold.train.front().y.rows();
  const MatrixXd C = fold.scale.y_unit.cwiseInverse().asDiagonal() * from.C;
  const MatrixXd K = from.K * fold.scale.y_unit.asDiagonal();
  const bool simulates = focus == Focus::simulation;
  const MatrixXd A = simulates ? from.A : MatrixXd(from.A - K * C);
  return fit_inputs(fold.train, focus, sections_of(A, C, simulates ? m : m + p, m, fold.cap));
}

std::optional<Fitted> best_start(const Fold& fold, Focus focus, Index n) {
  std::optional<Fitted> best;
  const Index m = fold.train.front().u.rows();
  const Index p = fold.train.front().y.rows();
  if (fold.past && focus == Focus::prediction && n <= fold.past->most_states()) {
    const Dynamics dynamics = fold.past->predictor(n);
    if (dynamics.A.allFinite() && dynamics.C.allFinite()) {
      best = fit_inputs(fold.train, focus, sections_of(dynamics.A, dynamics.C, m + p, m, fold.cap), false);
    }
  }
  for (const Subspace& subspace : fold.subspaces) {
    if (n > subspace.most_states()) continue;
    for (const Weighting weighting : {Weighting::cva, Weighting::moesp}) {
      const bool simulates = focus == Focus::simulation;
      const Dynamics dynamics = simulates ? subspace.plant(n, weighting) : subspace.predictor(n, weighting);
      if (!dynamics.A.allFinite() || !dynamics.C.allFinite()) continue;
      Fitted fitted =
          fit_inputs(fold.train, focus, sections_of(dynamics.A, dynamics.C, simulates ? m : m + p, m, fold.cap));
      if (!best || fitted.errors.sum() < best->errors.sum()) best = std::move(fitted);
    }
  }
  return best;
}

Found refine(const Fold& fold, Focus focus, Sections start, int steps, bool feed_through) {
  if (!feed_through) start.D.setZero();
  FitSettings settings;
  settings.steps = steps;
  settings.feed_through = feed_through;
  settings.cap = fold.cap;
  settings.offset = focus == Focus::simulation;
  settings.weigh_by_error = focus == Focus::prediction;
  settings.converged = 1e-4;
  Fitted fitted = fit(fold.train, focus, std::move(start), settings);
  Found out;
  out.sections = fitted.sections;
  out.errors = fitted.errors;
  out.cost = fitted.cost;
  if (focus == Focus::simulation) {
    out.model = matrices_of(fitted.sections);
    return out;
  }
  out.model = model_of_predictor(fitted.sections);
  const Index m = fold.train.front().u.rows();
  if (m == 0 || model::spectral_radius(out.model.A) <= fold.cap) return out;
  // It would grow: the poles are drawn in, and what the inputs do is found anew.
  const LinearModel grows = std::move(out.model);
  out.model = matrices_of(
      fit_inputs(fold.train, Focus::simulation, sections_of(grows.A, grows.C, m, m, fold.cap), feed_through).sections);
  out.drawn_in = true;
  return out;
}

}  // namespace twinkeeper::identification
