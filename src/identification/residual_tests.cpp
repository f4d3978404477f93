#include "identification/residual_tests.hpp"

#include <algorithm>
#include <cmath>

#include "identification/decompositions.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::RowVectorXd;
using Eigen::VectorXd;

constexpr double kOnceInAHundred = 2.326;  // P(N(0,1) > it) = 1 %

struct Piece {
  Index begin, count;
};

// Σ_k a(k) b(k−l) over each experiment by itself.
double product(const RowVectorXd& a, const RowVectorXd& b, Index lag, const std::vector<Piece>& pieces) {
  double sum = 0.0;
  for (const Piece& piece : pieces) {
    const Index count = piece.count - std::abs(lag);
    if (count <= 0) continue;
    const Index from_a = piece.begin + std::max<Index>(lag, 0);
    const Index from_b = piece.begin + std::max<Index>(-lag, 0);
    sum += a.segment(from_a, count).dot(b.segment(from_b, count));
  }
  return sum;
}

VectorXd autocorrelation_of(const RowVectorXd& values, const std::vector<Piece>& pieces) {
  VectorXd out = VectorXd::Zero(kResidualLags + 1);
  const double squares = product(values, values, 0, pieces);
  if (!(squares > 0.0)) return out;
  for (Index l = 0; l <= kResidualLags; ++l) out(l) = product(values, values, l, pieces) / squares;
  return out;
}

// u less what it follows from its own past: an answer of y to u, which u's own memory would carry to lags below 0, stays
// where it is.
RowVectorXd whitened(const RowVectorXd& u, const VectorXd& autocorrelation, const std::vector<Piece>& pieces) {
  constexpr Index kOrder = 10;
  MatrixXd R(kOrder, kOrder);
  for (Index i = 0; i < kOrder; ++i) {
    for (Index j = 0; j < kOrder; ++j) R(i, j) = autocorrelation(std::abs(i - j));
  }
  R.diagonal().array() += 1e-9;
  const VectorXd a = solve_symmetric(R, autocorrelation.segment(1, kOrder));
  RowVectorXd out = RowVectorXd::Zero(u.size());
  for (const Piece& piece : pieces) {
    for (Index k = piece.begin + kOrder; k < piece.begin + piece.count; ++k) {
      out(k) = u(k);
      for (Index i = 0; i < kOrder; ++i) out(k) -= a(i) * u(k - 1 - i);
    }
  }
  return out;
}

}  // namespace

std::vector<ResidualTests> residual_tests(const Experiments& experiments, const MatrixXd& errors) {
  std::vector<ResidualTests> out(static_cast<std::size_t>(errors.rows()));
  if (errors.cols() == 0 || !errors.allFinite()) return out;
  std::vector<Piece> pieces;
  Index ticks = 0;
  MatrixXd u(experiments.front().u.rows(), errors.cols());
  for (const auto& e : experiments) {
    pieces.push_back({ticks, e.count()});
    u.middleCols(ticks, e.count()) = e.u;
    ticks += e.count();
  }
  u.colwise() -= u.rowwise().mean().eval();
  std::vector<VectorXd> of_inputs;
  std::vector<RowVectorXd> own;
  for (Index j = 0; j < u.rows(); ++j) {
    of_inputs.push_back(autocorrelation_of(u.row(j), pieces));
    own.push_back(whitened(u.row(j), of_inputs.back(), pieces));
  }
  const auto count = static_cast<double>(ticks);
  for (Index i = 0; i < errors.rows(); ++i) {
    ResidualTests& one = out[static_cast<std::size_t>(i)];
    const RowVectorXd e = errors.row(i).array() - errors.row(i).mean();
    one.autocorrelation = autocorrelation_of(e, pieces);
    one.band = kBand / std::sqrt(count);
    for (Index l = 1; l <= kResidualLags && l < ticks; ++l) {
      one.portmanteau +=
          count * (count + 2.0) * one.autocorrelation(l) * one.autocorrelation(l) / (count - static_cast<double>(l));
    }
    one.portmanteau_limit = estimation::chi_square_quantile(kResidualLags, kOnceInAHundred);
    one.white = one.portmanteau <= one.portmanteau_limit;
    const double squares = product(e, e, 0, pieces);
    for (Index j = 0; j < u.rows(); ++j) {
      InputCorrelation& with = one.inputs.emplace_back();
      with.correlation = VectorXd::Zero(2 * kResidualLags + 1);
      const VectorXd& of_input = of_inputs[static_cast<std::size_t>(j)];
      double spread = one.autocorrelation(0) * of_input(0);
      for (Index l = 1; l <= kResidualLags; ++l) spread += 2.0 * one.autocorrelation(l) * of_input(l);
      with.band = kBand * std::sqrt(std::max(spread, 1.0) / count);
      const double both = std::sqrt(squares * product(u.row(j), u.row(j), 0, pieces));
      if (!(both > 0.0)) continue;
      for (Index l = -kResidualLags; l <= kResidualLags; ++l) {
        const double r = product(e, u.row(j), l, pieces) / both;
        with.correlation(l + kResidualLags) = r;
        if (l >= 0 && std::abs(r) > with.band * kAllLags / kBand) with.left = true;
      }
      const RowVectorXd& news = own[static_cast<std::size_t>(j)];
      const double limit = kAllLags * std::sqrt(squares * news.squaredNorm() / count);
      for (Index l = -kResidualLags; l < 0; ++l) {
        if (std::abs(product(e, news, l, pieces)) > limit) with.feedback = true;
      }
    }
  }
  return out;
}

}  // namespace twinkeeper::identification
