#include "identification/predictor_gain.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/decompositions.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kInnovationFloor = 1e-12;  // of the variance of a scaled output

struct Errors {
  MatrixXd covariance;  // of ν
  VectorXd squares;     // sums, by output
  VectorXd used;
};

// One-step errors of a record, and, if wanted, the normal equations of K (by column) and the x0 of each experiment.
Errors run(const Experiments& experiments, const LinearModel& model, const MatrixXd& K, const MatrixXd& x0,
           const VectorXd& weight, MatrixXd* normal, VectorXd* slope) {
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  const Index size = n * p + x0.size();
  Errors out{MatrixXd::Zero(p, p), VectorXd::Zero(p), VectorXd::Zero(p)};
  if (normal != nullptr) {
    *normal = MatrixXd::Zero(size, size);
    *slope = VectorXd::Zero(size);
  }
  const MatrixXd F = model.A - K * model.C;
  double count = 0.0;
  for (std::size_t e = 0; e < experiments.size(); ++e) {
    const Experiment& data = experiments[e];
    const auto experiment = static_cast<Index>(e);
    VectorXd x = x0.col(experiment);
    // n × parameters that matter here: K, then this x0.
    MatrixXd by_parameter = MatrixXd::Zero(n, n * p + n);
    by_parameter.rightCols(n).setIdentity();
    MatrixXd local = MatrixXd::Zero(n * p + n, n * p + n);
    VectorXd local_slope = VectorXd::Zero(n * p + n);
    MatrixXd rows(p, n * p + n);
    MatrixXd next(n, n * p + n);
    std::size_t cell = 0;
    VectorXd v(p);
    for (Index k = 0; k < data.count(); ++k) {
      v = data.y.col(k) - model.o;
      v.noalias() -= model.C * x;
      v.noalias() -= model.D * data.u.col(k);
      VectorXd weighted = weight;
      for (; cell < data.missing.size() && data.missing[cell].second == k; ++cell) {
        v(data.missing[cell].first) = 0.0;  // nothing is learnt from what was filled
        weighted(data.missing[cell].first) = 0.0;
      }
      out.covariance.noalias() += v * v.transpose();
      for (Index i = 0; i < p; ++i) {
        out.squares(i) += v(i) * v(i);
        out.used(i) += weighted(i) > 0.0 ? 1.0 : 0.0;
      }
      count += 1.0;
      if (normal != nullptr) {
        rows.noalias() = model.C * by_parameter;  // −∂ν, and the slope of ŷ
        for (Index i = 0; i < p; ++i) {
          if (weighted(i) == 0.0) continue;
          local.selfadjointView<Eigen::Lower>().rankUpdate(rows.row(i).transpose(), weighted(i));
          local_slope.noalias() += weighted(i) * v(i) * rows.row(i).transpose();
        }
        next.noalias() = F * by_parameter;
        for (Index i = 0; i < p; ++i) {
          for (Index j = 0; j < n; ++j) next(j, i * n + j) += v(i);
        }
        by_parameter.swap(next);
      }
      x = model.A * x + model.B * data.u.col(k) + K * v;
      if (!(x.squaredNorm() < 1e30)) {
        out.squares.setConstant(std::numeric_limits<double>::infinity());
        return out;
      }
    }
    if (normal == nullptr) continue;
    local.triangularView<Eigen::StrictlyUpper>() = local.transpose().triangularView<Eigen::StrictlyUpper>();
    const Index shared = n * p;
    const Index own = shared + experiment * n;
    normal->topLeftCorner(shared, shared) += local.topLeftCorner(shared, shared);
    normal->block(0, own, shared, n) = local.topRightCorner(shared, n);
    normal->block(own, 0, n, shared) = local.bottomLeftCorner(n, shared);
    normal->block(own, own, n, n) = local.bottomRightCorner(n, n);
    slope->head(shared) += local_slope.head(shared);
    slope->segment(own, n) = local_slope.tail(n);
  }
  out.covariance /= count;
  return out;
}

bool stable(const LinearModel& model, const MatrixXd& K) {
  return model::spectral_radius(model.A - K * model.C) < 1.0 - 1e-6;
}

// Kalman gains for process noise as large as `ratio` times what the inputs move the states by, squared, per tick.
std::vector<MatrixXd> kalman_gains(const Experiments& experiments, const LinearModel& model) {
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  MatrixXd moved = MatrixXd::Zero(n, n);
  MatrixXd R = MatrixXd::Zero(p, p);
  double count = 0.0;
  for (const auto& e : experiments) {
    VectorXd x = VectorXd::Zero(n);
    for (Index k = 0; k < e.count(); ++k) {
      const VectorXd v = e.y.col(k) - model.o - model.C * x - model.D * e.u.col(k);
      R += v * v.transpose();
      moved += x * x.transpose();
      x = model.A * x + model.B * e.u.col(k);
      count += 1.0;
    }
  }
  model::StateSpace space;
  space.A = model.A;
  space.B = model.B;
  space.C = model.C;
  space.D = model.D;
  space.S = MatrixXd::Zero(n, p);
  space.R = R / count;
  space.R.diagonal().array() += kInnovationFloor;
  for (Index i = 0; i < n; ++i) space.states.push_back({"x" + std::to_string(i + 1), "", {}});
  std::vector<MatrixXd> out;
  for (const double ratio : {1e-3, 3e-2, 1.0}) {
    space.Q = ratio / count * moved;
    space.Q.diagonal() += 1e-6 * space.Q.diagonal() + VectorXd::Constant(n, 1e-9 * (space.Q.diagonal().sum() + 1e-9));
    const auto steady = model::steady_state(space);
    if (steady.ok() && steady.value().K.allFinite()) out.push_back(steady.value().K);
  }
  return out;
}

struct Candidate {
  MatrixXd K, x0;
  Errors errors;
  double cost = std::numeric_limits<double>::infinity();
};

// Each output weighs by its own errors, so that large ones do not hide small ones.
double cost_of(const Errors& errors, const VectorXd& weight) { return errors.squares.dot(weight); }

Candidate refine(const Experiments& experiments, const LinearModel& model, Candidate from, int steps) {
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  const VectorXd weight =
      from.errors.squares.cwiseQuotient(from.errors.used.cwiseMax(1.0)).cwiseMax(1e-9).cwiseInverse();
  MatrixXd normal;
  VectorXd slope;
  double damping = 1e-3;
  from.cost = cost_of(from.errors, weight);
  for (int step = 0; step < steps; ++step) {
    run(experiments, model, from.K, from.x0, weight, &normal, &slope);
    const double least = 1e-11 * std::max(normal.diagonal().maxCoeff(), 1e-300);
    const VectorXd unit = normal.diagonal().cwiseMax(least).cwiseSqrt().cwiseInverse();
    const MatrixXd G = unit.asDiagonal() * normal * unit.asDiagonal();
    const double before = from.cost;
    bool better = false;
    for (int attempt = 0; attempt < 8 && !better; ++attempt) {
      MatrixXd damped = G;
      damped.diagonal().array() += damping;
      const VectorXd by = unit.asDiagonal() * solve_symmetric(damped, unit.asDiagonal() * slope);
      Candidate next;
      next.K = from.K + Eigen::Map<const MatrixXd>(by.data(), n, p);
      next.x0 = from.x0 + Eigen::Map<const MatrixXd>(by.data() + n * p, n, from.x0.cols());
      if (stable(model, next.K)) {
        next.errors = run(experiments, model, next.K, next.x0, weight, nullptr, nullptr);
        next.cost = cost_of(next.errors, weight);
        better = next.cost < from.cost;
      }
      if (better) {
        from = std::move(next);
        damping = std::max(damping * 0.2, 1e-9);
      } else {
        damping *= 6.0;
      }
    }
    if (!better || before - from.cost <= 1e-5 * before) break;
  }
  return from;
}

}  // namespace

Gain fit_gain(const Experiments& experiments, const LinearModel& model) {
  const Index n = model.A.rows();
  const Index p = model.C.rows();
  std::vector<MatrixXd> starts = kalman_gains(experiments, model);
  if (starts.empty()) starts.emplace_back(MatrixXd::Zero(n, p));
  Candidate best;
  double least = std::numeric_limits<double>::infinity();
  for (const MatrixXd& K : starts) {
    if (!stable(model, K)) continue;
    Candidate one;
    one.K = K;
    one.x0 = MatrixXd::Zero(n, static_cast<Index>(experiments.size()));
    one.errors = run(experiments, model, K, one.x0, VectorXd::Ones(p), nullptr, nullptr);
    if (one.errors.squares.allFinite() && one.errors.squares.sum() < least) {
      least = one.errors.squares.sum();
      best = std::move(one);
    }
  }
  if (best.K.size() == 0) {
    best.K = MatrixXd::Zero(n, p);
    best.x0 = MatrixXd::Zero(n, static_cast<Index>(experiments.size()));
    best.errors = run(experiments, model, best.K, best.x0, VectorXd::Ones(p), nullptr, nullptr);
  }
  best = refine(experiments, model, std::move(best), 12);
  best = refine(experiments, model, std::move(best), 12);  // with the weights of what was found
  Gain out{best.K, best.errors.covariance};
  out.Ry.diagonal().array() += kInnovationFloor;
  return out;
}

MatrixXd innovation_covariance(const Experiments& experiments, const LinearModel& model) {
  const Index p = model.C.rows();
  MatrixXd out = MatrixXd::Zero(p, p);
  double count = 0.0;
  for (const Experiment& data : experiments) {
    const Index from = std::min<Index>(static_cast<Index>(kRowsForStart), data.count() / 3);
    VectorXd x = VectorXd::Zero(model.A.rows());
    std::size_t cell = 0;
    for (Index k = 0; k < data.count(); ++k) {
      VectorXd v = data.y.col(k) - model.o - model.C * x - model.D * data.u.col(k);
      for (; cell < data.missing.size() && data.missing[cell].second == k; ++cell) v(data.missing[cell].first) = 0.0;
      x = model.A * x + model.B * data.u.col(k) + model.K * v;
      if (k < from) continue;
      out += v * v.transpose();
      count += 1.0;
    }
  }
  out /= count;
  out.diagonal().array() += kInnovationFloor;
  return out;
}

namespace {

// W = Fᵀ W F + M
MatrixXd gramian(MatrixXd F, MatrixXd W) {
  for (int i = 0; i < 64; ++i) {
    const MatrixXd more = F.transpose() * W * F;
    W += more;
    if (more.norm() <= 1e-17 * W.norm()) break;
    F = (F * F).eval();
  }
  return 0.5 * (W + W.transpose());
}

}  // namespace

Noise split_noise(const LinearModel& model, const Gain& gain) {
  constexpr double kPart = 0.5;
  const Index n = model.A.rows();
  const MatrixXd root = lower_root(gain.Ry);
  const MatrixXd C_white = solve_lower(root, model.C);
  const MatrixXd F = model.A - gain.K * model.C;
  MatrixXd seen = C_white.transpose() * C_white;
  seen.diagonal().array() += 1e-12 * std::max(seen.diagonal().maxCoeff(), 1e-300);
  const MatrixXd L = lower_root(gramian(F, seen));  // W = L Lᵀ, x = L⁻ᵀ x′
  Noise out;
  out.T = solve_lower_transposed(L, MatrixXd::Identity(n, n));
  out.T_inverse = L.transpose();
  const MatrixXd A = L.transpose() * model.A * out.T;
  const MatrixXd C = model.C * out.T;
  const MatrixXd K = L.transpose() * gain.K;
  // A little more than the Gramian itself, so that Q, R, S are positive beyond doubt.
  const MatrixXd C_again = solve_lower(root, C);
  MatrixXd more = C_again.transpose() * C_again;
  more.diagonal().array() += 1e-7;
  const MatrixXd inverse = gramian(A - K * C, more);
  const MatrixXd P = kPart * solve_symmetric(inverse, MatrixXd::Identity(n, n));
  out.R = gain.Ry - C * P * C.transpose();
  out.S = K * gain.Ry - A * P * C.transpose();
  out.Q = P - A * P * A.transpose() + K * gain.Ry * K.transpose();
  out.R = (0.5 * (out.R + out.R.transpose())).eval();
  out.Q = (0.5 * (out.Q + out.Q.transpose())).eval();
  return out;
}

}  // namespace twinkeeper::identification
