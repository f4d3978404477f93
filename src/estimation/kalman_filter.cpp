#include "twinkeeper/estimation/kalman_filter.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "estimation/decorrelation.hpp"
#include "estimation/filter_kernels.hpp"

namespace twinkeeper::estimation {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Column-major copy with `rows` rows and `columns` columns; what the matrix does not have is zero.
std::vector<double> packed(const MatrixXd& matrix, int rows, int columns) {
  std::vector<double> result(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns), 0.0);
  for (Index j = 0; j < matrix.cols(); ++j) {
    for (Index i = 0; i < matrix.rows(); ++i) result[static_cast<std::size_t>(j * rows + i)] = matrix(i, j);
  }
  return result;
}

MatrixXd unpacked(const std::vector<double>& root, int n, int stride) {
  MatrixXd T(n, n);
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < n; ++i) T(i, j) = root[static_cast<std::size_t>(j * stride + i)];
  }
  return T;
}

// T Tᵀ, symmetric to the last bit: a product by blocks need not be.
MatrixXd symmetric_square(const MatrixXd& T) {
  MatrixXd P = T * T.transpose();
  P.triangularView<Eigen::StrictlyUpper>() = P.transpose();
  return P;
}

}  // namespace

KalmanFilter::KalmanFilter(const model::StateSpace& model)
    : innovations_form_(model.innovations_form_only), R_(model.R) {
  FilterArrays& a = arrays_;
  a.n = static_cast<int>(model.n_x());
  a.m = static_cast<int>(model.n_u());
  a.p = static_cast<int>(model.n_y());
  const PaddedSize size = padded_size(a.n, a.p);
  a.np = size.n;
  a.pp = size.p;
  a.ld = a.np + a.pp;
  kernels_ = &kernels_for(size);
  a.A = packed(model.A, a.np, a.np);
  a.B = packed(model.B, a.np, a.m);
  a.C = packed(model.C, a.pp, a.np);
  a.D = packed(model.D, a.pp, a.m);
  a.drift = packed(model.d, a.np, 1);
  a.R = packed(model.R.diagonal(), a.pp, 1);
  a.W.assign(static_cast<std::size_t>(a.np * a.pp), 0.0);
  a.x_prior.assign(static_cast<std::size_t>(a.np), 0.0);
  a.x_next = a.x_prior;
  a.T_prior.assign(static_cast<std::size_t>(a.np * a.np), 0.0);
  a.T_next = a.AT = a.T_prior;
  a.z.assign(static_cast<std::size_t>(a.ld), 0.0);
  a.E.assign(static_cast<std::size_t>(a.ld * a.np), 0.0);
  a.gain.assign(static_cast<std::size_t>(a.ld * a.pp), 0.0);
  a.s.assign(static_cast<std::size_t>(a.pp), 0.0);
  std_.assign(static_cast<std::size_t>(a.np), 0.0);
  a.expected.assign(static_cast<std::size_t>(a.pp), 0.0);
  a.variance = a.expected;
  a.scratch.assign(static_cast<std::size_t>(2 * a.ld), 0.0);
  movement_root_.assign(a.T_prior.size(), 0.0);
  wide_.assign(2 * a.T_prior.size(), 0.0);
  wide_scratch_.assign(static_cast<std::size_t>(3 * a.np), 0.0);

  const MatrixXd R_diagonal = model.R.diagonal().asDiagonal();
  coupled_ = !model.S.isZero(0.0);
  correlated_ = coupled_ || !(model.R - R_diagonal).isZero(0.0);
  sigma_.assign(p() * p(), 0.0);
  whitened_.assign(p(), 0.0);
  used_rows_.reserve(p());
  steady_rows_.reserve(p());
  if (correlated_) {
    R_root_.assign(p() * p(), 0.0);
    factored_.assign(p(), 0xFF);  // no V looks like this
  }
  a.Q_root = packed(lower_root(model.Q), a.np, a.np);
  if (coupled_) {
    Q_ = model.Q;
    S_ = model.S;
    whole_Q_root_ = a.Q_root;
    rest_ = rest_root_ = MatrixXd::Zero(model.n_x(), model.n_x());
    decorrelation_scratch_.assign(3 * n(), 0.0);
  }
  if (!model.augmented.empty()) {
    considered_.emplace(a, static_cast<int>(model.augmented.size()));
    ones_.assign(p(), 1.0);
    first_rows_.resize(p());
    std::iota(first_rows_.begin(), first_rows_.end(), 0);
  }
  if (model.nonlinear()) {
    extended_.emplace(model);
    extended_->start(arrays_);  // takes the memory that it needs later
    extended_->stop(arrays_);
  }
}

void KalmanFilter::linearise_each_step(bool on) {
  if (!extended_ || on == extended_->running()) return;
  if (on) {
    extended_->start(arrays_);
  } else {
    extended_->stop(arrays_);
    std::fill(factored_.begin(), factored_.end(), std::uint8_t{0xFF});
  }
}

void KalmanFilter::leave_steady() {
  if (resting_) kernels_->spread(arrays_);
  steady_ = resting_ = std_known_ = false;
}

void KalmanFilter::reset(const VectorXd& x, const VectorXd& std) {
  leave_steady();
  std::fill(arrays_.T_prior.begin(), arrays_.T_prior.end(), 0.0);
  for (std::size_t i = 0; i < n(); ++i) {
    arrays_.x_prior[i] = x(static_cast<Index>(i));
    arrays_.T_prior[i * static_cast<std::size_t>(arrays_.np) + i] = std(static_cast<Index>(i));
  }
}

void KalmanFilter::reset_with_covariance(const VectorXd& x, const MatrixXd& P) {
  leave_steady();
  arrays_.x_prior = packed(x, arrays_.np, 1);
  arrays_.T_prior = packed(lower_root(P), arrays_.np, arrays_.np);
}

void KalmanFilter::correct(const VectorXd& by, const MatrixXd& P) {
  leave_steady();
  for (std::size_t i = 0; i < n(); ++i) arrays_.x_prior[i] += by(static_cast<Index>(i));
  arrays_.T_prior = packed(lower_root(P), arrays_.np, arrays_.np);
}

void KalmanFilter::remember(Memory& memory) const {
  memory.x_prior = arrays_.x_prior;
  memory.T_prior = arrays_.T_prior;
  memory.linearised_each_step = extended_ && extended_->running();
}

void KalmanFilter::recall(const Memory& memory) {
  leave_steady();
  arrays_.x_prior = memory.x_prior;
  arrays_.T_prior = memory.T_prior;
  linearise_each_step(memory.linearised_each_step);
}

void KalmanFilter::average(std::span<const std::uint32_t> samples) {
  if (correlated_) std::abort();
  for (std::size_t i = 0; i < p(); ++i) {
    const auto row = static_cast<Index>(i);
    const double variance = samples[i] > 1 ? R_(row, row) / samples[i] : R_(row, row);
    if (variance != arrays_.R[i]) leave_steady();
    arrays_.R[i] = variance;
  }
}

void KalmanFilter::consider_augmented(bool on) {
  if (!considered_ || on == considering_) return;
  leave_steady();
  considering_ = on;
}

void KalmanFilter::expect(std::span<const double> u) {
  const bool extended = extended_ && extended_->running();
  if (extended) extended_->observe(arrays_, u);
  kernels_->observe(arrays_, u.data());
  resting_ = steady_;
  if (!steady_) kernels_->spread(arrays_);
  if (extended) extended_->put_expected(arrays_);
}

double KalmanFilter::fuse(std::span<const double> y, std::span<const std::uint8_t> good,
                          std::span<const std::uint8_t> used) {
  FilterArrays& a = arrays_;
  const std::size_t np = static_cast<std::size_t>(a.np);
  bool any_good = false;
  bool all_used = true;
  used_rows_.clear();
  for (std::size_t i = 0; i < p(); ++i) {
    if (good[i] == 0) continue;
    any_good = true;
    a.z[np + i] = y[i] - a.expected[i];
    if (used[i] == 0) {
      all_used = false;
    } else {
      used_rows_.push_back(static_cast<int>(i));
    }
  }
  if (steady_ && (!all_used || used_rows_ != steady_rows_)) leave_steady();
  resting_ = false;  // on the steady path E is already what it comes to
  double nis = any_good ? 0.0 : std::numeric_limits<double>::quiet_NaN();
  if (any_good && !all_used) nis = full_nis(y, good);
  if (correlated_) decorrelate(used);
  if (whitened()) {
    whiten(a.z.data() + np);
    for (int k = 0; k < a.np && !steady_; ++k) whiten(a.E.data() + k * a.ld + a.np);
  }
  std_known_ = std_known_ && steady_;
  if (considering_) {
    const double sum = consider();
    return any_good && all_used ? sum : nis;
  }
  double sum = 0.0;
  for (int k = 0; k < static_cast<int>(used_rows_.size()); ++k) {
    const int row = whitened() ? k : used_rows_[static_cast<std::size_t>(k)];
    const double r = whitened() ? 1.0 : a.R[static_cast<std::size_t>(row)];
    sum += steady_ ? kernels_->correct(a, row) : kernels_->fuse(a, row, r);
  }
  return any_good && all_used ? sum : nis;
}

// What predict() wants of z and E beside the state and its root is what the whitened rows see of them.
double KalmanFilter::consider() {
  FilterArrays& a = arrays_;
  if (!whitened()) return considered_->update(a, used_rows_, a.R);
  const auto np = static_cast<std::size_t>(a.np);
  const auto pp = static_cast<std::size_t>(a.pp);
  const auto see = [&](const double* state, double* rows) {
    std::fill_n(rows, pp, 0.0);
    for (std::size_t j = 0; j < np; ++j) {
      for (std::size_t i = 0; i < pp; ++i) rows[i] += a.C[j * pp + i] * state[j];
    }
    whiten(rows);
  };
  double* moved = a.scratch.data();
  double* seen = moved + np;
  std::copy_n(a.z.begin(), np, moved);
  const double nis = considered_->update(a, std::span(first_rows_).first(used_rows_.size()), ones_);
  for (std::size_t i = 0; i < np; ++i) moved[i] = a.z[i] - moved[i];
  see(moved, seen);
  for (std::size_t i = 0; i < pp; ++i) a.z[np + i] -= seen[i];
  for (std::size_t k = 0; k < np; ++k) {
    double* column = a.E.data() + k * static_cast<std::size_t>(a.ld);
    see(column, column + np);
  }
  return nis;
}

bool KalmanFilter::predict(std::span<const double> u) {
  const bool extended = extended_ && extended_->running();
  // Without S_V nothing of what was measured tells of the process noise.
  const int rows = telling_ ? static_cast<int>(used_rows_.size()) : 0;
  if (steady_) {
    if (!kernels_->advance(arrays_, u.data(), rows)) return false;
    arrays_.x_prior.swap(arrays_.x_next);
    return true;
  }
  if (extended) extended_->advance(arrays_, u);
  if (!kernels_->predict(arrays_, u.data(), rows)) return false;
  if (extended && !extended_->put_prediction(arrays_)) return false;
  arrays_.x_prior.swap(arrays_.x_next);
  arrays_.T_prior.swap(arrays_.T_next);
  if (!extended_ && !considering_ && arrays_.T_prior == arrays_.T_next) {
    steady_ = true;
    steady_rows_ = used_rows_;
  }
  return true;
}

void KalmanFilter::set_movement(const MatrixXd& G) { movement_root_ = packed(lower_root(G), arrays_.np, arrays_.np); }

double KalmanFilter::movement_variance(std::size_t row) const {
  const FilterArrays& a = arrays_;
  const auto np = static_cast<std::size_t>(a.np);
  double sum = 0.0;
  for (std::size_t k = 0; k < n(); ++k) {
    double seen = 0.0;
    for (std::size_t i = k; i < n(); ++i) {
      seen += a.C[i * static_cast<std::size_t>(a.pp) + row] * movement_root_[k * np + i];
    }
    sum += seen * seen;
  }
  return sum;
}

void KalmanFilter::widen(double factor) {
  leave_steady();
  FilterArrays& a = arrays_;
  const double length = std::sqrt(factor);
  const std::size_t size = a.T_prior.size();
  std::copy(a.T_prior.begin(), a.T_prior.end(), wide_.begin());
  for (std::size_t k = 0; k < size; ++k) wide_[size + k] = length * movement_root_[k];
  triangularise(wide_.data(), a.np, 2 * a.np, a.np, wide_scratch_.data());
  std::copy_n(wide_.begin(), size, a.T_prior.begin());
}

double KalmanFilter::prior_variance(std::size_t state) const {
  double sum = 0.0;
  for (std::size_t k = 0; k <= state; ++k) {
    const double entry = arrays_.T_prior[k * static_cast<std::size_t>(arrays_.np) + state];
    sum += entry * entry;
  }
  return sum;
}

void KalmanFilter::standard_deviations(std::span<double> std) {
  if (resting_) leave_steady();
  if (!std_known_) {
    kernels_->variances(arrays_, std_.data());
    for (std::size_t i = 0; i < n(); ++i) std_[i] = std::sqrt(std_[i]);
  }
  std_known_ = steady_;
  std::copy_n(std_.begin(), n(), std.begin());
}

// predict() has swapped: x_next and T_next are x and T(k|k−1) of the step.
void KalmanFilter::tell(FilterStep& out, bool with_root) const {
  const FilterArrays& a = arrays_;
  const auto np = static_cast<std::size_t>(a.np);
  const auto pp = static_cast<std::size_t>(a.pp);
  out.correction.assign(n(), 0.0);
  for (std::size_t j = 0; j < n(); ++j) {
    const double moved = a.z[j] - a.x_next[j];
    for (std::size_t i = 0; i < n(); ++i) out.correction[i] += a.A[j * np + i] * moved;
  }
  for (std::size_t j = 0; telling_ && j < used_rows_.size(); ++j) {
    for (std::size_t i = 0; i < n(); ++i) out.correction[i] += a.W[j * np + i] * a.z[np + j];
  }
  out.R.assign(a.R.begin(), a.R.begin() + static_cast<std::ptrdiff_t>(p()));
  const auto pack = [](const std::vector<double>& from, std::size_t rows, std::size_t columns, std::size_t stride,
                       std::vector<double>& to) {
    to.resize(rows * columns);
    for (std::size_t j = 0; j < columns; ++j) {
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(j * stride), rows,
                  to.begin() + static_cast<std::ptrdiff_t>(j * rows));
    }
  };
  if (with_root) pack(a.T_next, n(), n(), np, out.root);
  if (!extended_ || !extended_->running()) {
    out.A.clear();
    out.C.clear();
    return;
  }
  pack(a.A, n(), n(), np, out.A);
  pack(a.C, p(), n(), pp, out.C);
}

// νᵀ Σ⁻¹ ν over all good rows where some of them are not fused, by Cholesky.
double KalmanFilter::full_nis(std::span<const double> y, std::span<const std::uint8_t> good) {
  const FilterArrays& a = arrays_;
  std::size_t size = 0;
  double nis = 0.0;
  for (std::size_t i = 0; i < p(); ++i) {
    if (good[i] == 0) continue;
    double* row = sigma_.data() + size * p();
    std::size_t column = 0;
    double rest = y[i] - a.expected[i];
    for (std::size_t j = 0; j <= i; ++j) {
      if (good[j] == 0) continue;
      double value = i == j ? a.R[i] : R_(static_cast<Index>(i), static_cast<Index>(j));
      for (std::size_t k = 0; k < n(); ++k) {
        const double* seen = a.E.data() + k * static_cast<std::size_t>(a.ld) + a.np;
        value += seen[i] * seen[j];
      }
      const double* other = sigma_.data() + column * p();
      for (std::size_t k = 0; k < column; ++k) value -= row[k] * other[k];
      row[column] = j == i ? std::sqrt(value) : value / other[column];
      if (j != i) rest -= row[column] * whitened_[column];
      ++column;
    }
    whitened_[size] = rest / row[size];
    nis += whitened_[size] * whitened_[size];
    ++size;
  }
  return nis;
}

MatrixXd KalmanFilter::covariance_prior() const {
  const MatrixXd T = unpacked(arrays_.T_prior, arrays_.n, arrays_.np);
  return symmetric_square(T);
}

MatrixXd KalmanFilter::covariance_post() const {
  // Columns of the padding carry nothing: the model's states never reach them.
  const MatrixXd T = unpacked(arrays_.E, arrays_.n, arrays_.ld);
  return symmetric_square(T);
}

}  // namespace twinkeeper::estimation
