#include "identification/long_regression.hpp"

#include <algorithm>
#include <cmath>

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kRidge = 1e-10;

struct Moments {
  MatrixXd past;   // Σ z zᵀ of the s last [u; y], newest first
  MatrixXd ahead;  // Σ [u(k); y(k)] zᵀ
  MatrixXd now;    // Σ [u(k); y(k)] [u(k); y(k)]ᵀ
  double count = 0.0;
};

Moments moments_of(const Experiments& experiments, Index s) {
  const Index m = experiments.front().u.rows();
  const Index q = m + experiments.front().y.rows();
  Moments out{MatrixXd::Zero(s * q, s * q), MatrixXd::Zero(q, s * q), MatrixXd::Zero(q, q), 0.0};
  constexpr Index kBlock = 256;
  MatrixXd z(s * q, kBlock);
  MatrixXd now(q, kBlock);
  for (const auto& e : experiments) {
    MatrixXd w(q, e.count());
    w << e.u, e.y;
    for (Index begin = s; begin < e.count(); begin += kBlock) {
      const Index count = std::min(kBlock, e.count() - begin);
      for (Index i = 1; i <= s; ++i) z.block((i - 1) * q, 0, q, count) = w.middleCols(begin - i, count);
      now.leftCols(count) = w.middleCols(begin, count);
      out.past.selfadjointView<Eigen::Lower>().rankUpdate(z.leftCols(count));
      out.ahead.noalias() += now.leftCols(count) * z.leftCols(count).transpose();
      out.now.noalias() += now.leftCols(count) * now.leftCols(count).transpose();
      out.count += static_cast<double>(count);
    }
  }
  out.past.triangularView<Eigen::StrictlyUpper>() = out.past.transpose().triangularView<Eigen::StrictlyUpper>();
  return out;
}

// Least squares of `ahead` on the past; a trace of ridge, where the past is linearly dependent.
MatrixXd coefficients(const Moments& of) {
  MatrixXd past = of.past;
  past.diagonal().array() += kRidge * past.diagonal().maxCoeff();
  return solve_symmetric(past, of.ahead.transpose()).transpose();
}

}  // namespace

std::optional<LongRegression> LongRegression::of(const Experiments& experiments, Index lags) {
  const Index m = experiments.front().u.rows();
  const Index p = experiments.front().y.rows();
  const Index q = m + p;
  const Moments moments = moments_of(experiments, lags);
  if (moments.count < static_cast<double>(2 * lags * q)) return std::nullopt;
  const MatrixXd theta = coefficients(moments).bottomRows(p);
  LongRegression out;
  out.s_ = lags;
  out.p_ = p;
  MatrixXd H = MatrixXd::Zero(lags * p, lags * q);
  for (Index r = 0; r < lags; ++r) {
    for (Index i = 0; i + r < lags; ++i) H.block(r * p, i * q, p, q) = theta.middleCols((i + r) * q, q);
  }
  out.directions_ = left_svd(H * lower_root(moments.past / moments.count));
  return out;
}

Dynamics LongRegression::predictor(Index n) const {
  const MatrixXd gamma = directions_.U.leftCols(n) * directions_.values.head(n).cwiseSqrt().asDiagonal();
  const Index rows = gamma.rows() - p_;
  return {least_squares(gamma.topRows(rows), gamma.bottomRows(rows)), gamma.topRows(p_)};
}

VectorXd own_movement(const Experiments& experiments, Index lags) {
  const Moments moments = moments_of(experiments, lags);
  const Index m = experiments.front().u.rows();
  const Index p = experiments.front().y.rows();
  const Index size = moments.past.rows();
  // A controller may answer y(k) at once.
  MatrixXd known(size + p, size + p);
  known << moments.past, moments.ahead.bottomRows(p).transpose(), moments.ahead.bottomRows(p),
      moments.now.bottomRightCorner(p, p);
  MatrixXd with(m, size + p);
  with << moments.ahead.topRows(m), moments.now.topRightCorner(m, p);
  known.diagonal().array() += kRidge * known.diagonal().maxCoeff();
  const MatrixXd theta = solve_symmetric(known, with.transpose()).transpose();
  VectorXd out(m);
  for (Index j = 0; j < m; ++j) {
    const double squares = moments.now(j, j);
    out(j) = squares > 0.0 ? std::max(0.0, 1.0 - theta.row(j).dot(with.row(j)) / squares) : 0.0;
  }
  return out;
}

}  // namespace twinkeeper::identification
