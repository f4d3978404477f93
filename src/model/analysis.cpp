#include "twinkeeper/model/analysis.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "model/balancing.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kRankTolerance = 1e-9;  // relative, after scaling rows to length 1

// std::abs would call hypot of the C library.
double magnitude(const std::complex<double>& z) { return base::hypot(z.real(), z.imag()); }

// Powers of two near the square roots of a positive diagonal: scaling by them does not round.
VectorXd scales(const VectorXd& diagonal) {
  VectorXd result = VectorXd::Ones(diagonal.size());
  for (Index i = 0; i < diagonal.size(); ++i) {
    if (diagonal(i) > 0.0 && std::isfinite(diagonal(i))) {
      result(i) = root_as_power_of_two(diagonal(i));
    }
  }
  return result;
}

MatrixXd symmetric(const MatrixXd& matrix) { return 0.5 * (matrix + matrix.transpose()); }

// X = A X Aᵀ − A X Cᵀ (C X Cᵀ + R)⁻¹ C X Aᵀ + Q; empty if the doubling does not settle.
std::optional<MatrixXd> doubling(const MatrixXd& A, const MatrixXd& C, const MatrixXd& Q, const MatrixXd& R) {
  constexpr int kMostDoublings = 64;
  const Index n = A.rows();
  MatrixXd F = A.transpose();
  MatrixXd G = MatrixXd::Zero(n, n);
  if (C.rows() > 0) G = symmetric(C.transpose() * R.ldlt().solve(C));
  MatrixXd H = Q;
  for (int i = 0; i < kMostDoublings; ++i) {
    const Eigen::PartialPivLU<MatrixXd> lu(MatrixXd::Identity(n, n) + G * H);
    const MatrixXd F_solved = lu.solve(F);
    const MatrixXd G_solved = lu.solve(G);
    const MatrixXd growth = symmetric(F_solved.transpose() * H * F);
    G = symmetric(G + F * G_solved * F.transpose());
    H += growth;
    F = (F * F_solved).eval();
    if (!H.allFinite() || !G.allFinite() || !F.allFinite()) return std::nullopt;
    if ((growth.diagonal().array().abs() <= 1e-17 * H.diagonal().array().abs()).all()) return H;
  }
  return std::nullopt;
}

// The doubling on states and outputs of unit size: once to learn the size of the states, once to use it.
std::optional<MatrixXd> prediction_covariance(const MatrixXd& A, const MatrixXd& C, const MatrixXd& Q,
                                              const MatrixXd& R) {
  const VectorXd r = scales(R.diagonal()).cwiseInverse();
  const MatrixXd C_unit = r.asDiagonal() * C;
  const MatrixXd R_unit = r.asDiagonal() * R * r.asDiagonal();
  VectorXd t = VectorXd::Ones(A.rows());
  std::optional<MatrixXd> P;
  for (int pass = 0; pass < 2; ++pass) {
    const VectorXd t_inverse = t.cwiseInverse();
    P = doubling(t_inverse.asDiagonal() * A * t.asDiagonal(), C_unit * t.asDiagonal(),
                 t_inverse.asDiagonal() * Q * t_inverse.asDiagonal(), R_unit);
    if (!P) return P;
    P = (t.asDiagonal() * *P * t.asDiagonal()).eval();
    t = scales(P->diagonal());
  }
  return P;
}

std::string join(const std::vector<std::string>& names) {
  return std::accumulate(names.begin(), names.end(), std::string{}, [](std::string text, const std::string& name) {
    return text.empty() ? name : std::move(text) + ", " + name;
  });
}

// Orthonormal basis of what no output ever shows: the largest A-invariant subspace in the null space of C. Each pass
// keeps the directions that C misses and that A does not move into view.
MatrixXd unobservable_subspace(const MatrixXd& A, const MatrixXd& C) {
  const Index n = A.rows();
  MatrixXd basis = MatrixXd::Identity(n, n);
  if (C.rows() == 0) return basis;
  MatrixXd test = C;
  for (Index i = 0; i < test.rows(); ++i) {
    const double length = test.row(i).norm();
    if (length > 0.0) test.row(i) /= length;
  }
  while (basis.cols() > 0) {
    const Eigen::JacobiSVD<MatrixXd> svd(test, Eigen::ComputeFullV);
    const auto& values = svd.singularValues();
    const Index rank = (values.array() > kRankTolerance).count();
    if (rank == 0) break;
    basis = (basis * svd.matrixV().rightCols(basis.cols() - rank)).eval();
    if (basis.cols() == 0) break;
    const MatrixXd moved = A * basis;
    test = moved - basis * (basis.transpose() * moved);
    // Against what each row could hold at most: units and scales of the states must not decide.
    const MatrixXd most = A.cwiseAbs() * basis.cwiseAbs();
    const MatrixXd projected = basis.cwiseAbs() * (basis.cwiseAbs().transpose() * most);
    for (Index i = 0; i < n; ++i) {
      const double size = most.row(i).norm() + projected.row(i).norm();
      if (size > 0.0) test.row(i) /= size;
    }
  }
  return basis;
}

std::vector<std::string> taking_part(const StateSpace& model, const VectorXd& weight) {
  std::vector<std::string> names;
  for (Index i = 0; i < weight.size(); ++i) {
    if (weight(i) > 1e-6 * weight.maxCoeff()) names.push_back(model.states[static_cast<std::size_t>(i)].name);
  }
  return names;
}

// C (I − A)⁻¹ B + D of the machine's own states.
std::optional<MatrixXd> settled_gain(const StateSpace& model, const MatrixXd& B, const MatrixXd& D) {
  const Index n = model.n_own();
  Eigen::FullPivLU<MatrixXd> lu(MatrixXd::Identity(n, n) - model.A.topLeftCorner(n, n));
  lu.setThreshold(1e-12);
  if (!lu.isInvertible()) return std::nullopt;
  return MatrixXd(model.C.leftCols(n) * lu.solve(B) + D);
}

MatrixXd rows_of(const MatrixXd& matrix, const std::vector<Index>& rows) {
  MatrixXd result(static_cast<Index>(rows.size()), matrix.cols());
  for (Index i = 0; i < result.rows(); ++i) result.row(i) = matrix.row(rows[static_cast<std::size_t>(i)]);
  return result;
}

// In balanced coordinates, so that the units of the states do not decide; a diagonal scaling keeps every name.
Detectability detectability_of(const StateSpace& model, const MatrixXd& C) {
  Detectability result;
  const VectorXd t = balancing(model.A);
  const MatrixXd A = t.cwiseInverse().asDiagonal() * model.A * t.asDiagonal();
  const MatrixXd hidden = unobservable_subspace(A, C * t.asDiagonal());
  if (hidden.cols() == 0) return result;
  result.observable = false;
  result.unobservable_states = taking_part(model, hidden.rowwise().norm());
  const Eigen::EigenSolver<MatrixXd> modes(hidden.transpose() * A * hidden);
  VectorXd weight = VectorXd::Zero(model.n_x());
  for (Index i = 0; i < hidden.cols(); ++i) {
    if (magnitude(modes.eigenvalues()(i)) < 1.0 - 1e-9) continue;
    result.detectable = false;
    weight += (hidden.cast<std::complex<double>>() * modes.eigenvectors().col(i)).cwiseAbs2().cwiseSqrt();
  }
  if (!result.detectable) result.undetectable_states = taking_part(model, weight);
  return result;
}

}  // namespace

base::Result<SteadyState> steady_state(const StateSpace& model) {
  std::vector<Index> all(static_cast<std::size_t>(model.n_y()));
  std::iota(all.begin(), all.end(), Index{0});
  return steady_state(model, all);
}

base::Result<SteadyState> steady_state(const StateSpace& model, const std::vector<Index>& measured) {
  using base::Error;
  using base::ErrorCode;
  const MatrixXd C = rows_of(model.C, measured);
  const MatrixXd R = rows_of(rows_of(model.R, measured).transpose(), measured);
  const MatrixXd S = rows_of(model.S.transpose(), measured).transpose();
  const Detectability seen = detectability_of(model, C);
  if (!seen.detectable) {
    return Error(ErrorCode::invalid_argument,
                 "no output shows the non-decaying part of: " + join(seen.undetectable_states));
  }
  SteadyState result;
  if (C.rows() == 0) {
    std::optional<MatrixXd> P = prediction_covariance(model.A, C, model.Q, R);
    if (!P) return Error(ErrorCode::invalid_argument, "the steady-state covariance does not exist");
    result.P_post = *P;
    result.P = *std::move(P);
    result.M = result.K = MatrixXd::Zero(model.n_x(), 0);
    result.Sigma = MatrixXd::Zero(0, 0);
    return result;
  }
  const Eigen::LLT<MatrixXd> R_factor(R);
  if (R_factor.info() != Eigen::Success) return Error(ErrorCode::invalid_argument, "R is not positive definite");
  if (model.innovations_form_only && C.rows() == model.n_y()) {
    result.P = MatrixXd::Zero(model.n_x(), model.n_x());
  } else {
    const MatrixXd gain = R_factor.solve(S.transpose()).transpose();  // S R⁻¹ takes S out of the equation
    std::optional<MatrixXd> P =
        prediction_covariance(model.A - gain * C, C, symmetric(model.Q - gain * S.transpose()), R);
    if (!P) {
      return Error(ErrorCode::invalid_argument,
                   "the steady-state covariance does not exist: a state that does not decay has no process noise");
    }
    result.P = std::move(*P);
  }
  const MatrixXd PCt = result.P * C.transpose();
  result.Sigma = symmetric(C * PCt + R);
  const Eigen::LLT<MatrixXd> factor(result.Sigma);
  result.M = factor.solve(PCt.transpose()).transpose();
  result.K = factor.solve((model.A * PCt + S).transpose()).transpose();
  const MatrixXd root = factor.matrixL().solve(PCt.transpose());
  result.P_post = symmetric(result.P - root.transpose() * root);
  const double radius = spectral_radius(model.A - result.K * C);
  if (!(radius < 1.0)) {
    return Error(ErrorCode::invalid_argument, "the steady-state filter is not stable (spectral radius of A − K C is " +
                                                  std::to_string(radius) +
                                                  "): a state that does not decay has no process noise");
  }
  return result;
}

std::vector<Pole> poles(const StateSpace& model) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Eigen::VectorXcd values = model.A.eigenvalues();
  std::vector<Pole> result;
  for (Index i = 0; i < values.size(); ++i) {
    Pole pole{};
    pole.real = values(i).real();
    pole.imaginary = values(i).imag();
    pole.magnitude = magnitude(values(i));
    const double rate = base::log(pole.magnitude);
    // Rounding of an eigenvalue of an integrator must not turn it into a mode of a thousand years.
    if (std::abs(pole.magnitude - 1.0) < 1e-12) {
      pole.time_constant = kInfinity;
    } else {
      pole.time_constant = pole.magnitude > 0.0 ? -model.sample_time / rate : 0.0;
    }
    const double angle = std::abs(base::atan2(pole.imaginary, pole.real));
    pole.period = angle > 0.0 ? 2.0 * std::numbers::pi * model.sample_time / angle : kInfinity;
    result.push_back(pole);
  }
  std::sort(result.begin(), result.end(), [](const Pole& left, const Pole& right) {
    if (left.magnitude != right.magnitude) return left.magnitude > right.magnitude;
    return left.imaginary > right.imaginary;
  });
  return result;
}

double spectral_radius(const MatrixXd& matrix) {
  if (matrix.rows() == 0) return 0.0;
  if (!matrix.allFinite()) return std::numeric_limits<double>::infinity();
  return matrix.eigenvalues().unaryExpr(&magnitude).maxCoeff();
}

Detectability detectability(const StateSpace& model) { return detectability_of(model, model.C); }

Detectability detectability(const StateSpace& model, const std::vector<Index>& measured) {
  return detectability_of(model, rows_of(model.C, measured));
}

std::optional<MatrixXd> steady_state_gain(const StateSpace& model) {
  return settled_gain(model, model.B.topRows(model.n_own()), model.D);  // no input moves an augmented state
}

std::vector<double> augmented_effects(const StateSpace& model, const SteadyState& steady,
                                      const std::vector<Index>& measured) {
  const Index n = model.n_own();
  const auto count = static_cast<Index>(model.augmented.size());
  const auto gain = settled_gain(model, model.A.topRightCorner(n, count), model.C.rightCols(count));
  std::vector<double> out(model.augmented.size(), gain ? 0.0 : std::numeric_limits<double>::infinity());
  for (Index k = 0; gain && k < count; ++k) {
    double& largest = out[static_cast<std::size_t>(k)];
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto row = static_cast<Index>(i);
      largest = std::max(largest, std::abs((*gain)(measured[i], k)) / std::sqrt(steady.Sigma(row, row)));
    }
  }
  return out;
}

}  // namespace twinkeeper::model
