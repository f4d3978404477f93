#include "estimation/decorrelation.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "twinkeeper/estimation/kalman_filter.hpp"

namespace twinkeeper::estimation {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Any F with F Fᵀ = P. Scaling to a correlation matrix keeps small states from drowning in the rounding of large ones.
MatrixXd any_root(const MatrixXd& P) {
  VectorXd scale = VectorXd::Ones(P.rows());
  for (Index i = 0; i < P.rows(); ++i) {
    if (P(i, i) > 0.0) scale(i) = std::sqrt(P(i, i));
  }
  const VectorXd inverse = scale.cwiseInverse();
  const MatrixXd correlation = inverse.asDiagonal() * (0.5 * (P + P.transpose())) * inverse.asDiagonal();
  const Eigen::LLT<MatrixXd> cholesky(correlation);
  if (cholesky.info() == Eigen::Success) {
    const MatrixXd L = cholesky.matrixL();
    if (L.diagonal().minCoeff() > 1e-6) return scale.asDiagonal() * L;
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> modes(correlation);
  VectorXd roots = modes.eigenvalues();
  // What rounding leaves of a zero eigenvalue must not become process noise of its own.
  const double least = 1e-15 * static_cast<double>(P.rows());
  for (double& value : roots) value = value > least ? std::sqrt(value) : 0.0;
  return scale.asDiagonal() * modes.eigenvectors() * roots.asDiagonal();
}

}  // namespace

MatrixXd lower_root(const MatrixXd& P) {
  MatrixXd root = any_root(P);
  std::vector<double> scratch(static_cast<std::size_t>(root.rows() + root.cols()));
  triangularise(root.data(), static_cast<int>(root.rows()), static_cast<int>(root.cols()),
                static_cast<int>(root.rows()), scratch.data());
  return root;
}

void pivoted_root(const MatrixXd& P, MatrixXd& root, double* scratch) {
  const Index n = P.rows();
  double* scale = scratch;
  double* left = scratch + n;  // what is left of each row's variance, as a share of it; below 0: the row is done
  const double negligible = 1e-15 * static_cast<double>(n);
  double probe = 0.0;
  for (Index i = 0; i < n; ++i) {
    scale[i] = P(i, i) > 0.0 ? std::sqrt(P(i, i)) : 0.0;
    left[i] = scale[i] > 0.0 ? 1.0 : -1.0;
    for (Index j = 0; j < n; ++j) probe += P(i, j) * 0.0;
  }
  for (Index k = 0; k < n; ++k) {
    for (Index i = 0; i < n; ++i) root(i, k) = 0.0;
    Index pivot = 0;
    for (Index i = 1; i < n; ++i) pivot = left[i] > left[pivot] ? i : pivot;
    if (!(left[pivot] > negligible)) continue;
    const double length = std::sqrt(left[pivot]);
    for (Index i = 0; i < n; ++i) {
      if (i == pivot || left[i] < 0.0) continue;
      double value = P(i, pivot) / (scale[i] * scale[pivot]);
      for (Index j = 0; j < k; ++j) value -= root(i, j) * root(pivot, j);
      root(i, k) = value / length;
      left[i] = std::max(0.0, left[i] - root(i, k) * root(i, k));
    }
    root(pivot, k) = length;
    left[pivot] = -1.0;
  }
  for (Index k = 0; k < n; ++k) {
    for (Index i = 0; i < n; ++i) root(i, k) *= scale[i];
  }
  triangularise(root.data(), static_cast<int>(n), static_cast<int>(n), static_cast<int>(n), scratch);
  if (!(probe == 0.0)) root(0, 0) = std::numeric_limits<double>::quiet_NaN();
}

MatrixXd joint_root(const model::StateSpace& model) {
  const Index n = model.n_x();
  const Index p = model.n_y();
  if (model.innovations_form_only) {
    const MatrixXd L = Eigen::LLT<MatrixXd>(model.R).matrixL();
    MatrixXd root(p + n, p);
    root << L, L.triangularView<Eigen::Lower>().solve(model.S.transpose()).transpose();
    return root;
  }
  if (model.S.isZero(0.0)) {
    MatrixXd root = MatrixXd::Zero(p + n, p + n);
    root.topLeftCorner(p, p) = lower_root(model.R);
    root.bottomRightCorner(n, n) = lower_root(model.Q);
    return root;
  }
  MatrixXd joint(p + n, p + n);
  joint << model.R, model.S.transpose(), model.S, model.Q;
  return lower_root(joint);
}

void triangularise(double* matrix, int rows, int columns, int stride, double* scratch) {
  double* v = scratch;
  double* w = scratch + columns;
  for (int j = 0; j < std::min(rows, columns); ++j) {
    double tail = 0.0;
    for (int k = j + 1; k < columns; ++k) {
      v[k] = matrix[k * stride + j];
      tail += v[k] * v[k];
    }
    if (tail == 0.0) continue;
    const double head = matrix[j * stride + j];
    const double length = std::sqrt(head * head + tail);
    v[j] = head > 0.0 ? -tail / (head + length) : head - length;
    const double beta = 2.0 / (v[j] * v[j] + tail);
    for (int i = j + 1; i < rows; ++i) w[i] = 0.0;
    for (int k = j; k < columns; ++k) {
      for (int i = j + 1; i < rows; ++i) w[i] += matrix[k * stride + i] * v[k];
    }
    for (int k = j; k < columns; ++k) {
      const double value = beta * v[k];
      for (int i = j + 1; i < rows; ++i) matrix[k * stride + i] -= w[i] * value;
    }
    matrix[j * stride + j] = length;
    for (int k = j + 1; k < columns; ++k) matrix[k * stride + j] = 0.0;
  }
}

// The root of the rows in use of R, by themselves.
void KalmanFilter::factor_R() {
  const auto at = [this](std::size_t row, std::size_t column) -> double& { return R_root_[column * p() + row]; };
  const std::size_t count = used_rows_.size();
  independent_ = true;
  for (std::size_t k = 0; k < count; ++k) {
    for (std::size_t i = k; i < count; ++i) {
      double rest = R_(used_rows_[i], used_rows_[k]);
      independent_ = independent_ && (i == k || rest == 0.0);
      for (std::size_t j = 0; j < k; ++j) rest -= at(i, j) * at(k, j);
      at(i, k) = i == k ? std::sqrt(rest) : rest / at(k, k);
    }
  }
}

// [R_root 0; W Q_root] of the rows in use, from the joint root's rows: what is left of the process noise once the used
// measurements have told their part of it.
void KalmanFilter::decorrelate(std::span<const std::uint8_t> used) {
  if (std::equal(used.begin(), used.end(), factored_.begin(), factored_.end())) return;
  std::copy(used.begin(), used.end(), factored_.begin());
  if (!coupled_) return factor_R();
  FilterArrays& a = arrays_;
  const int n = a.n;
  const int m = static_cast<int>(used_rows_.size());
  const int columns = static_cast<int>(joint_root_.cols());
  const int rows = m + n;
  for (int k = 0; k < columns; ++k) {
    double* column = triangle_.data() + k * rows;
    for (int i = 0; i < m; ++i) column[i] = joint_root_(used_rows_[static_cast<std::size_t>(i)], k);
    for (int i = 0; i < n; ++i) column[m + i] = joint_root_(a.p + i, k);
  }
  triangularise(triangle_.data(), rows, columns, rows, decorrelation_scratch_.data());
  std::fill(a.W.begin(), a.W.end(), 0.0);
  std::fill(a.Q_root.begin(), a.Q_root.end(), 0.0);
  for (int k = 0; k < m; ++k) {
    const double* column = triangle_.data() + k * rows;
    for (int i = k; i < m; ++i) R_root_[static_cast<std::size_t>(k * a.p + i)] = column[i];
    for (int i = 0; i < n; ++i) a.W[static_cast<std::size_t>(k * a.np + i)] = column[m + i];
  }
  for (int k = m; k < std::min(columns, rows); ++k) {
    const double* column = triangle_.data() + k * rows;
    for (int i = k - m; i < n; ++i) a.Q_root[static_cast<std::size_t>((k - m) * a.np + i)] = column[m + i];
  }
}

// Rows in use of C T and of the innovations become rows 0, 1, … of unit variance; the others become zero.
void KalmanFilter::whiten() {
  FilterArrays& a = arrays_;
  const int m = static_cast<int>(used_rows_.size());
  const auto solve = [&](double* rows) {  // forward substitution; row i is read from used_rows_[i] ≥ i
    for (int i = 0; i < m; ++i) {
      double value = rows[used_rows_[static_cast<std::size_t>(i)]];
      for (int j = 0; j < i; ++j) value -= R_root_[static_cast<std::size_t>(j * a.p + i)] * rows[j];
      rows[i] = value / R_root_[static_cast<std::size_t>(i * a.p + i)];
    }
    for (int i = m; i < a.p; ++i) rows[i] = 0.0;
  };
  for (int k = 0; k < a.np; ++k) solve(a.E.data() + k * a.ld + a.np);
  solve(a.z.data() + a.np);
}

}  // namespace twinkeeper::estimation
