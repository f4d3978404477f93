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

// Cholesky of the lower triangle; false where little is left of a variance of `whole`: that needs pivots.
bool plain_root(const MatrixXd& P, const MatrixXd& whole, MatrixXd& root) {
  constexpr double kLittle = 1e-12;
  const Index n = P.rows();
  for (Index k = 0; k < n; ++k) {
    for (Index i = k; i < n; ++i) {
      double rest = P(i, k);
      for (Index j = 0; j < k; ++j) rest -= root(i, j) * root(k, j);
      if (i == k && !(rest > kLittle * whole(k, k))) return false;
      root(i, k) = i == k ? std::sqrt(rest) : rest / root(k, k);
    }
  }
  return true;
}

}  // namespace

MatrixXd lower_root(const MatrixXd& P) {
  MatrixXd root = any_root(P);
  std::vector<double> scratch(static_cast<std::size_t>(root.rows() + root.cols()));
  triangularise(root.data(), static_cast<int>(root.rows()), static_cast<int>(root.cols()),
                static_cast<int>(root.rows()), scratch.data());
  return root;
}

void pivoted_root(const MatrixXd& P, const MatrixXd& whole, MatrixXd& root, double* scratch) {
  const Index n = P.rows();
  double* scale = scratch;
  double* left = scratch + n;  // what is left of each row's variance, as a share of the whole; below 0: the row is done
  const double negligible = 1e-15 * static_cast<double>(n);
  double probe = 0.0;
  for (Index i = 0; i < n; ++i) {
    scale[i] = whole(i, i) > 0.0 ? std::sqrt(whole(i, i)) : 0.0;
    left[i] = scale[i] > 0.0 ? P(i, i) / whole(i, i) : -1.0;
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

// W = S_V R_root⁻ᵀ and the root of Q − W Wᵀ: what is left of the process noise once the used measurements have told
// their part of it. Nothing but the rows in use of the model's matrices enters, so a row that is masked leaves no
// trace.
void KalmanFilter::decorrelate(std::span<const std::uint8_t> used) {
  if (std::equal(used.begin(), used.end(), factored_.begin(), factored_.end())) return;
  std::copy(used.begin(), used.end(), factored_.begin());
  factor_R();
  if (!coupled_) return;
  FilterArrays& a = arrays_;
  telling_ = std::any_of(used_rows_.begin(), used_rows_.end(), [this](int row) { return !S_.col(row).isZero(0.0); });
  if (!telling_) {
    std::copy(whole_Q_root_.begin(), whole_Q_root_.end(), a.Q_root.begin());
    return;
  }
  independent_ = false;
  const std::size_t count = used_rows_.size();
  const auto W = [&a](std::size_t column) { return a.W.data() + column * static_cast<std::size_t>(a.np); };
  for (std::size_t k = 0; k < count; ++k) {
    for (int i = 0; i < a.n; ++i) W(k)[i] = S_(i, used_rows_[k]);
    for (std::size_t j = 0; j < k; ++j) {
      for (int i = 0; i < a.n; ++i) W(k)[i] -= W(j)[i] * R_root_[j * p() + k];
    }
    for (int i = 0; i < a.n; ++i) W(k)[i] /= R_root_[k * p() + k];
  }
  if (innovations_form_ && count == p()) {  // all of w is told, to the last bit
    std::fill(a.Q_root.begin(), a.Q_root.end(), 0.0);
    return;
  }
  for (int j = 0; j < a.n; ++j) {
    for (int i = j; i < a.n; ++i) {
      double rest = Q_(i, j);
      for (std::size_t k = 0; k < count; ++k) rest -= W(k)[i] * W(k)[j];
      rest_(i, j) = rest_(j, i) = rest;
    }
  }
  if (!plain_root(rest_, Q_, rest_root_)) pivoted_root(rest_, Q_, rest_root_, decorrelation_scratch_.data());
  for (int j = 0; j < a.n; ++j) {
    for (int i = j; i < a.n; ++i) a.Q_root[static_cast<std::size_t>(j * a.np + i)] = rest_root_(i, j);
  }
}

// Of a column of C T or of the innovations: rows in use become rows 0, 1, … of unit variance, the others zero.
void KalmanFilter::whiten(double* rows) const {
  const int p = arrays_.p;
  const int m = static_cast<int>(used_rows_.size());
  for (int i = 0; i < m; ++i) {  // forward substitution; row i is read from used_rows_[i] ≥ i
    double value = rows[used_rows_[static_cast<std::size_t>(i)]];
    for (int j = 0; j < i; ++j) value -= R_root_[static_cast<std::size_t>(j * p + i)] * rows[j];
    rows[i] = value / R_root_[static_cast<std::size_t>(i * p + i)];
  }
  for (int i = m; i < p; ++i) rows[i] = 0.0;
}

}  // namespace twinkeeper::estimation
