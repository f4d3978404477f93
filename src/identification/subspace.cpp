#include "identification/subspace.hpp"

#include <algorithm>

namespace twinkeeper::identification {

using Eigen::Index;
using Eigen::MatrixXd;

std::optional<Subspace> Subspace::of(const Experiments& experiments, Index horizon) {
  Subspace out;
  out.s_ = horizon;
  out.m_ = experiments.front().u.rows();
  out.p_ = experiments.front().y.rows();
  const Index s = horizon;
  const Index us = s * out.m_;
  const Index ys = s * out.p_;
  const Index width = 2 * (us + ys);
  Index rows = 0;
  for (const auto& e : experiments) rows += std::max<Index>(e.count() - 2 * s + 1, 0);
  if (rows < width + width / 2) return std::nullopt;

  const Index chunk = std::max<Index>(2 * width, 256);
  MatrixXd stack = MatrixXd::Zero(width + chunk, width);
  Index filled = width;
  const auto compress = [&] {
    stack.topRows(width) = upper_triangle(stack);
    stack.bottomRows(chunk).setZero();
    filled = width;
  };
  for (const auto& e : experiments) {
    for (Index t = s; t + s <= e.count(); ++t) {
      auto row = stack.row(filled++);
      for (Index k = 0; k < s; ++k) {
        row.segment(k * out.m_, out.m_) = e.u.col(t + k).transpose();
        row.segment(us + k * out.m_, out.m_) = e.u.col(t - s + k).transpose();
        row.segment(2 * us + k * out.p_, out.p_) = e.y.col(t - s + k).transpose();
        row.segment(2 * us + ys + k * out.p_, out.p_) = e.y.col(t + k).transpose();
      }
      if (filled == stack.rows()) compress();
    }
  }
  compress();
  out.R_ = stack.topRows(width);
  const MatrixXd R23 = out.R_.block(us, 2 * us + ys, us + ys, ys);
  const MatrixXd R33 = out.R_.bottomRightCorner(ys, ys);
  out.root_ = lower_root(R23.transpose() * R23 + R33.transpose() * R33);
  out.cva_ = left_svd(solve_lower(out.root_, R23.transpose()));
  out.moesp_ = left_svd(R23.transpose());
  return out;
}

MatrixXd Subspace::observability(Index n, Weighting weighting) const {
  if (weighting == Weighting::cva) return root_ * cva_.U.leftCols(n);
  return moesp_.U.leftCols(n);
}

Dynamics Subspace::plant(Index n, Weighting weighting) const {
  const MatrixXd gamma = observability(n, weighting);
  const Index rows = (s_ - 1) * p_;
  return {least_squares(gamma.topRows(rows), gamma.bottomRows(rows)), gamma.topRows(p_)};
}

Dynamics Subspace::predictor(Index n, Weighting weighting) const {
  const Index us = s_ * m_;
  const Index ys = s_ * p_;
  const MatrixXd gamma = observability(n, weighting);
  const MatrixXd R22 = R_.block(us, us, us + ys, us + ys);
  const MatrixXd R23 = R_.block(us, 2 * us + ys, us + ys, ys);
  // x = map z, by row: X = Z mapᵀ
  const MatrixXd map = least_squares(gamma, least_squares(R22, R23).transpose());
  const MatrixXd past = R_.middleCols(us, us + ys);
  MatrixXd later(R_.rows(), us + ys);  // the past of one tick later
  later.leftCols(us - m_) = past.middleCols(m_, us - m_);
  later.middleCols(us - m_, m_) = R_.leftCols(m_);
  later.middleCols(us, ys - p_) = past.middleCols(us + p_, ys - p_);
  later.rightCols(p_) = R_.middleCols(2 * us + ys, p_);
  MatrixXd from(R_.rows(), n + m_);
  from << past * map.transpose(), R_.leftCols(m_);
  MatrixXd to(R_.rows(), n + p_);
  to << later * map.transpose(), R_.middleCols(2 * us + ys, p_);
  const MatrixXd found = least_squares(from, to).transpose();  // [A B; C D]
  const MatrixXd rest = to - from * found.transpose();
  const MatrixXd K = least_squares(rest.rightCols(p_), rest.leftCols(n)).transpose();
  const MatrixXd C = found.bottomLeftCorner(p_, n);
  return {found.topLeftCorner(n, n) - K * C, C};
}

}  // namespace twinkeeper::identification
