#include "identification/nonlinear_predictor.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int kMostSteps = 60;
constexpr double kConverged = 1e-12;  // relative change of the squared errors

std::span<const double> span(const double* data, Index size) { return {data, static_cast<std::size_t>(size)}; }

Ticks first_of(const Ticks& ticks, Index count) { return {ticks.u.leftCols(count), ticks.y.leftCols(count), {}}; }

}  // namespace

NonlinearPredictor::NonlinearPredictor(const model::StateSpace& model, MatrixXd P0, MatrixXd sigma)
    : model_(model), P0_(std::move(P0)), sigma_(std::move(sigma)), filter_(model), free_(model) {
  filter_.linearise_each_step(true);
  free_.linearise_each_step(true);
}

// ŷ of the ticks from … to−1, beginning with x at `from`; only of the last of them if that is all that is wanted.
void NonlinearPredictor::simulate(const Ticks& ticks, Index from, Index to, const VectorXd& x, MatrixXd& predicted,
                                  bool last_only) {
  const std::vector<std::uint8_t> none(static_cast<std::size_t>(model_.n_y()), 0);
  const std::vector<double> nothing(none.size(), 0.0);
  free_.reset(x, VectorXd::Zero(model_.n_x()));
  for (Index k = from; k < to; ++k) {
    const auto u = span(ticks.u.col(k).data(), ticks.u.rows());
    free_.expect(u);
    if (!last_only || k + 1 == to) {
      const auto expected = free_.expected();
      for (Index i = 0; i < model_.n_y(); ++i) predicted(i, k) = expected[static_cast<std::size_t>(i)];
    }
    if (k + 1 == to) return;
    free_.fuse(nothing, none, none);
    if (!free_.predict(u)) {  // away beyond all numbers: it stays there
      predicted.middleCols(k + 1, to - k - 1).setConstant(std::nan(""));
      return;
    }
  }
}

MatrixXd NonlinearPredictor::predict(const Ticks& ticks, std::optional<std::int64_t> horizon, const VectorXd& x0) {
  MatrixXd predicted(model_.n_y(), ticks.count());
  if (!horizon || *horizon >= ticks.count()) {
    simulate(ticks, 0, ticks.count(), x0, predicted, false);
    return predicted;
  }
  const auto ahead = static_cast<Index>(*horizon);
  simulate(ticks, 0, ahead, x0, predicted, false);  // these have no y to begin from
  filter_.reset_with_covariance(x0, P0_);
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(model_.n_y()));
  VectorXd x(model_.n_x());
  for (Index j = 0; j + ahead < ticks.count(); ++j) {
    const auto u = span(ticks.u.col(j).data(), ticks.u.rows());
    for (Index i = 0; i < model_.n_y(); ++i) rows[static_cast<std::size_t>(i)] = !std::isnan(ticks.y(i, j));
    filter_.expect(u);
    filter_.fuse(span(ticks.y.col(j).data(), ticks.y.rows()), rows, rows);
    if (!filter_.predict(u)) {
      predicted.rightCols(ticks.count() - j - ahead).setConstant(std::nan(""));
      return predicted;
    }
    std::copy_n(filter_.x_prior().begin(), x.size(), x.data());
    simulate(ticks, j + 1, j + ahead + 1, x, predicted, true);
  }
  return predicted;
}

VectorXd NonlinearPredictor::errors(const Ticks& ticks, bool one_step, const VectorXd& x0, const VectorXd& prior) {
  const MatrixXd predicted = predict(ticks, one_step ? std::optional<std::int64_t>{1} : std::nullopt, x0);
  const Index own = model_.n_own();
  VectorXd out = VectorXd::Zero(ticks.y.size() + model_.n_x() - own);
  for (std::size_t k = 0; k < model_.augmented.size(); ++k) {
    const model::AugmentedState& state = model_.augmented[k];
    const auto at = static_cast<Index>(k);
    if (state.initial_std == 0.0) continue;
    out(ticks.y.size() + at) = (x0(own + at) - prior(own + at)) / state.initial_std;
  }
  std::vector<Index> rows;
  for (Index k = 0; k < ticks.count(); ++k) {
    rows.clear();
    for (Index i = 0; i < ticks.y.rows(); ++i) {
      if (!std::isnan(ticks.y(i, k))) rows.push_back(i);
    }
    if (rows.empty()) continue;
    const Eigen::LLT<MatrixXd> root(sigma_(rows, rows));
    const VectorXd difference = (ticks.y.col(k) - predicted.col(k))(rows);
    out.segment(k * ticks.y.rows(), difference.size()) = root.matrixL().solve(difference);
  }
  return out;
}

VectorXd NonlinearPredictor::estimate_start(const Ticks& ticks, Index end, bool one_step, const VectorXd& prior) {
  const Ticks few = first_of(ticks, end);
  const Index n = model_.n_x();
  VectorXd x = prior;
  VectorXd error = errors(few, one_step, x, prior);
  double cost = error.squaredNorm();
  double damping = 1e-3;
  // States of a machine are of the size of their units; a parameter may be of any.
  VectorXd size = VectorXd::Ones(n);
  for (Index j = model_.n_own(); j < n; ++j) {
    size(j) = model_.augmented[static_cast<std::size_t>(j - model_.n_own())].initial_std;
  }
  for (int step = 0; step < kMostSteps && std::isfinite(cost); ++step) {
    MatrixXd slope = MatrixXd::Zero(error.size(), n);
    for (Index j = 0; j < n; ++j) {
      if (size(j) == 0.0) continue;  // known: it does not move
      const double by = 1e-6 * std::max({size(j), std::abs(x(j)), std::abs(model_.x_op(j))});
      VectorXd moved = x;
      moved(j) += by;
      slope.col(j) = (errors(few, one_step, moved, prior) - error) / by * size(j);
    }
    const MatrixXd normal = slope.transpose() * slope;
    const VectorXd right = -slope.transpose() * error;
    // A state that the data leave open has no slope, and stays where it is.
    const double least = 1e-12 * std::max(normal.diagonal().maxCoeff(), 1e-300);
    bool better = false;
    double before = cost;
    for (int attempt = 0; attempt < 12 && !better; ++attempt) {
      MatrixXd damped = normal;
      damped.diagonal() += damping * normal.diagonal() + VectorXd::Constant(n, least);
      const VectorXd candidate = x + size.cwiseProduct(damped.ldlt().solve(right));
      const VectorXd its_error = errors(few, one_step, candidate, prior);
      const double its_cost = its_error.squaredNorm();
      better = std::isfinite(its_cost) && its_cost < cost;
      if (better) {
        x = candidate;
        error = its_error;
        cost = its_cost;
        damping = std::max(damping / 10.0, 1e-12);
      } else {
        damping *= 10.0;
      }
    }
    if (!better || before - cost <= kConverged * before) break;
  }
  return x;
}

}  // namespace twinkeeper::identification
