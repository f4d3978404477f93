#include "twinkeeper/estimation/considered_states.hpp"

#include <algorithm>
#include <cmath>

#include "estimation/decorrelation.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"

namespace twinkeeper::estimation {
namespace {

// x ← L⁻¹ x, L lower triangular, row by row; a pivot of zero belongs to a number that is known, and is passed over.
void solve_lower(const std::vector<double>& L, std::size_t size, double* x) {
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t k = 0; k < i; ++k) x[i] -= L[i * size + k] * x[k];
    x[i] = L[i * size + i] == 0.0 ? 0.0 : x[i] / L[i * size + i];
  }
}

void solve_upper(const std::vector<double>& L, std::size_t size, double* x) {  // L⁻ᵀ
  for (std::size_t i = size; i-- > 0;) {
    for (std::size_t k = i + 1; k < size; ++k) x[i] -= L[k * size + i] * x[k];
    x[i] = x[i] / L[i * size + i];
  }
}

// In place, of the lower half of a matrix row by row.
void cholesky(std::vector<double>& P, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double value = P[i * size + j];
      for (std::size_t k = 0; k < j; ++k) value -= P[i * size + k] * P[j * size + k];
      const double pivot = P[j * size + j];
      P[i * size + j] = i == j ? std::sqrt(std::max(value, 0.0)) : pivot == 0.0 ? 0.0 : value / pivot;
    }
  }
}

}  // namespace

ConsideredStates::ConsideredStates(const FilterArrays& arrays, int considered)
    : others_(static_cast<std::size_t>(arrays.n - considered)), considered_(static_cast<std::size_t>(considered)) {
  const auto n = static_cast<std::size_t>(arrays.np);
  const auto p = static_cast<std::size_t>(arrays.pp);
  const std::size_t most = std::max(p, considered_);
  root_.assign(most * most, 0.0);
  gain_.assign(n * p, 0.0);
  nu_.assign(p, 0.0);
  row_.assign(considered_, 0.0);
  wide_.assign(n * (n + p), 0.0);
  scratch_.assign(2 * n + p, 0.0);
}

double ConsideredStates::update(FilterArrays& a, std::span<const int> rows, std::span<const double> r) {
  const std::size_t size = rows.size();
  if (size == 0) return 0.0;
  const auto np = static_cast<std::size_t>(a.np);
  const auto ld = static_cast<std::size_t>(a.ld);
  const auto seen = [&](std::size_t k, std::size_t j) {
    return a.E[k * ld + np + static_cast<std::size_t>(rows[j])];  // (H T)(j, k)
  };
  const auto variance = [&](std::size_t j) { return r[static_cast<std::size_t>(rows[j])]; };

  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double value = i == j ? variance(i) : 0.0;
      for (std::size_t k = 0; k < np; ++k) value += seen(k, i) * seen(k, j);
      root_[i * size + j] = value;
    }
  }
  cholesky(root_, size);

  std::fill_n(gain_.begin(), np * size, 0.0);
  for (std::size_t i = 0; i < others_; ++i) {
    double* row = gain_.data() + i * size;
    for (std::size_t k = 0; k < np; ++k) {
      for (std::size_t j = 0; j < size; ++j) row[j] += a.E[k * ld + i] * seen(k, j);
    }
    solve_lower(root_, size, row);
    solve_upper(root_, size, row);
  }

  for (std::size_t k = 0; k < np; ++k) {
    for (std::size_t i = 0; i < np; ++i) {
      double value = a.E[k * ld + i];
      for (std::size_t j = 0; j < size; ++j) value -= gain_[i * size + j] * seen(k, j);
      wide_[k * np + i] = value;
    }
  }
  for (std::size_t j = 0; j < size; ++j) {
    const double length = std::sqrt(variance(j));
    for (std::size_t i = 0; i < np; ++i) wide_[(np + j) * np + i] = gain_[i * size + j] * length;
  }
  triangularise(wide_.data(), a.np, a.np + static_cast<int>(size), a.np, scratch_.data());
  for (std::size_t k = 0; k < np; ++k) {
    for (std::size_t i = 0; i < np; ++i) a.E[k * ld + i] = wide_[k * np + i];
  }

  for (std::size_t j = 0; j < size; ++j) nu_[j] = a.z[np + static_cast<std::size_t>(rows[j])];
  for (std::size_t i = 0; i < others_; ++i) {
    for (std::size_t j = 0; j < size; ++j) a.z[i] += gain_[i * size + j] * nu_[j];
  }
  solve_lower(root_, size, nu_.data());
  double nis = 0.0;
  for (std::size_t j = 0; j < size; ++j) nis += nu_[j] * nu_[j];
  return nis;
}

// P_xx − P_xa P_aa⁻¹ P_ax, its trace.
double ConsideredStates::spread_of_others(const FilterArrays& a) {
  const auto np = static_cast<std::size_t>(a.np);
  const auto ld = static_cast<std::size_t>(a.ld);
  const auto covariance = [&](std::size_t i, std::size_t j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < np; ++k) sum += a.E[k * ld + i] * a.E[k * ld + j];
    return sum;
  };
  for (std::size_t i = 0; i < considered_; ++i) {
    for (std::size_t j = 0; j <= i; ++j) root_[i * considered_ + j] = covariance(others_ + i, others_ + j);
  }
  cholesky(root_, considered_);
  double sum = 0.0;
  for (std::size_t i = 0; i < others_; ++i) {
    for (std::size_t j = 0; j < considered_; ++j) row_[j] = covariance(i, others_ + j);
    solve_lower(root_, considered_, row_.data());
    sum += covariance(i, i);
    for (const double told : row_) sum -= told * told;
  }
  return sum;
}

}  // namespace twinkeeper::estimation
