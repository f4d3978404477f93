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

std::span<const double> span(const VectorXd& values) {
  return {values.data(), static_cast<std::size_t>(values.size())};
}

}  // namespace

NonlinearPredictor::NonlinearPredictor(const model::StateSpace& model, MatrixXd P0, MatrixXd sigma)
    : model_(model),
      P0_(std::move(P0)),
      sigma_(std::move(sigma)),
      filter_(model),
      free_(model),
      nothing_(static_cast<std::size_t>(model.n_y()), 0.0),
      none_(nothing_.size(), 0),
      rows_(none_) {
  filter_.linearise_each_step(true);
  free_.linearise_each_step(true);
}

void NonlinearPredictor::begin(std::optional<std::int64_t> horizon, const VectorXd& x0) {
  horizon_ = horizon;
  at_ = 0;
  away_ = false;
  past_.clear();
  free_.reset(x0, VectorXd::Zero(model_.n_x()));
  filter_.reset_with_covariance(x0, P0_);
}

// ŷ of free_.
void NonlinearPredictor::expect(const VectorXd& u, VectorXd& predicted) {
  free_.expect(span(u));
  const auto expected = free_.expected();
  std::copy(expected.begin(), expected.end(), predicted.data());
}

// A step of free_ after that; false: x is away beyond all numbers.
bool NonlinearPredictor::go_on(const VectorXd& u) {
  free_.fuse(nothing_, none_, none_);
  return free_.predict(span(u));
}

VectorXd NonlinearPredictor::next(const VectorXd& u, const VectorXd& y) {
  VectorXd predicted = VectorXd::Constant(model_.n_y(), std::nan(""));
  if (horizon_) past_.emplace_back(u, y);
  if (!horizon_ || at_++ < *horizon_) {  // no y to begin from
    if (away_) return predicted;
    expect(u, predicted);
    away_ = !go_on(u);
    return predicted;
  }
  if (at_ == *horizon_ + 1) away_ = false;  // of the filter, from here on
  if (away_) return predicted;
  const auto [old_u, old_y] = std::move(past_.front());
  past_.pop_front();
  for (Index i = 0; i < old_y.size(); ++i) rows_[static_cast<std::size_t>(i)] = !std::isnan(old_y(i));
  filter_.expect(span(old_u));
  filter_.fuse(span(old_y), rows_, rows_);
  away_ = !filter_.predict(span(old_u));
  if (away_) return predicted;
  VectorXd x(model_.n_x());
  std::copy_n(filter_.x_prior().begin(), x.size(), x.data());
  free_.reset(x, VectorXd::Zero(model_.n_x()));
  for (std::size_t k = 0; k + 1 < past_.size(); ++k) {
    free_.expect(span(past_[k].first));
    if (!go_on(past_[k].first)) return predicted;
  }
  expect(u, predicted);
  return predicted;
}

VectorXd NonlinearPredictor::errors(const Ticks& ticks, bool one_step, const VectorXd& x0, const VectorXd& prior) {
  begin(one_step ? std::optional<std::int64_t>{1} : std::nullopt, x0);
  MatrixXd predicted(ticks.y.rows(), ticks.count());
  for (Index k = 0; k < ticks.count(); ++k) predicted.col(k) = next(ticks.u.col(k), ticks.y.col(k));
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

VectorXd NonlinearPredictor::estimate_start(const Ticks& few, bool one_step, const VectorXd& prior) {
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
