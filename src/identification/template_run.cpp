#include "identification/template_run.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "identification/decompositions.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

using Mask = Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic>;

Mask measured_in(const Experiment& data) {
  Mask out = Mask::Constant(data.y.rows(), data.y.cols(), true);
  for (const auto& [output, tick] : data.missing) out(output, tick) = false;
  return out;
}

VectorXd within_limits(const model::StateSpace& model, const VectorXd& u) {
  VectorXd out = u;
  for (Index i = 0; i < u.size(); ++i) {
    const model::Limits& limits = model.inputs[static_cast<std::size_t>(i)].limits;
    out(i) = std::clamp(u(i), limits.min, limits.max);
  }
  return out;
}

std::span<const double> span_of(const VectorXd& values) {
  return {values.data(), static_cast<std::size_t>(values.size())};
}

}  // namespace

std::optional<model::StateSpace> template_model(const model::ModelSettings& settings, double sample_time) {
  base::Issues issues;
  if (const auto check = model::find_template(settings.type)->check) check(settings.parameters, issues);
  if (!issues.empty()) return std::nullopt;
  auto built = model::build(settings, sample_time);
  if (auto* model = std::get_if<model::StateSpace>(&built)) return std::move(*model);
  return std::nullopt;
}

TemplateRun::TemplateRun(const model::StateSpace& model)
    : model_(model), f_(model.n_x()), h_(model.n_y()), F_(model.A), G_(model.B), C_(model.C), D_(model.D) {
  if (!model.nonlinear()) return;
  dynamics_ = model.dynamics->clone();
  dynamics_->evaluate(model.x_op, model.u_op, f_, F_, G_);
  exponential_ = model::StepExponential(F_, model.W, model.sample_time);
}

VectorXd TemplateRun::limited(const Experiment& data, Index k) const { return within_limits(model_, data.u.col(k)); }

MatrixXd TemplateRun::simulate(const Experiment& data, const VectorXd& x0, MatrixXd* states) {
  if (!dynamics_) return simulate_linear(data, x0, states);
  MatrixXd out(model_.n_y(), data.count());
  if (states != nullptr) states->resize(model_.n_x(), data.count());
  VectorXd x = x0;
  for (Index k = 0; k < data.count(); ++k) {
    const VectorXd u = limited(data, k);
    dynamics_->observe(x, u, h_, C_, D_);
    out.col(k) = h_;
    if (states != nullptr) states->col(k) = x;
    dynamics_->evaluate(x, u, f_, F_, G_);
    exponential_.compute(F_, false);
    x.noalias() += exponential_.gamma() * f_;
    if (x.allFinite()) continue;
    out.rightCols(data.count() - k - 1).setConstant(std::numeric_limits<double>::quiet_NaN());
    break;
  }
  return out;
}

MatrixXd TemplateRun::simulate_linear(const Experiment& data, const VectorXd& x0, MatrixXd* states) const {
  MatrixXd out(model_.n_y(), data.count());
  if (states != nullptr) states->resize(model_.n_x(), data.count());
  VectorXd x = x0 - model_.x_op;
  for (Index k = 0; k < data.count(); ++k) {
    const VectorXd u = limited(data, k) - model_.u_op;
    if (k == 0 && model_.foh()) x -= model_.hold_offset * u;
    out.col(k) = model_.y_op + model_.C * x + model_.D * u;
    if (states != nullptr) states->col(k) = model_.x_op + x;
    x = (model_.A * x + model_.B * u + model_.d).eval();
  }
  return out;
}

Innovations filter(const model::StateSpace& model, const Experiment& data, const VectorXd& x0) {
  const Index p = model.n_y();
  const Index ticks = data.count();
  const Mask measured = measured_in(data);
  Innovations out{MatrixXd::Zero(p, ticks), MatrixXd::Zero(p, ticks), MatrixXd::Zero(p, ticks), measured};
  const std::unique_ptr<model::Dynamics> dynamics = model.nonlinear() ? model.dynamics->clone() : nullptr;
  estimation::KalmanFilter kalman(model);
  kalman.linearise_each_step(true);
  VectorXd x = x0 - model.x_op;
  if (model.foh()) x -= model.hold_offset * (within_limits(model, data.u.col(0)) - model.u_op);
  kalman.reset(x, VectorXd::Zero(model.n_x()));
  Mask flat = Mask::Constant(p, ticks, false);
  MatrixXd C = model.C;
  MatrixXd D = model.D;
  VectorXd h(p);
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(p));
  std::vector<Index> seen;
  for (Index k = 0; k < ticks; ++k) {
    const VectorXd absolute = within_limits(model, data.u.col(k));
    const VectorXd u = absolute - model.u_op;
    const VectorXd y = data.y.col(k) - model.y_op;
    kalman.expect(span_of(u));
    if (dynamics) {
      x = Eigen::Map<const VectorXd>(kalman.x_prior().data(), model.n_x()) + model.x_op;
      dynamics->observe(x, absolute, h, C, D);
    }
    seen.clear();
    for (Index i = 0; i < p; ++i) {
      rows[static_cast<std::size_t>(i)] = measured(i, k) ? 1 : 0;
      flat(i, k) = !(C.row(i).squaredNorm() > 0.0);
      if (measured(i, k)) seen.push_back(i);
    }
    if (!seen.empty()) {
      const VectorXd expected = Eigen::Map<const VectorXd>(kalman.expected().data(), p);
      const VectorXd nu = (y - expected)(seen);
      const MatrixXd C_seen = C(seen, Eigen::all);
      const MatrixXd sigma = C_seen * kalman.covariance_prior() * C_seen.transpose() + model.R(seen, seen);
      const MatrixXd root = lower_root(sigma);
      const VectorXd whitened = solve_lower(root, nu);
      for (std::size_t i = 0; i < seen.size(); ++i) {
        const auto at = static_cast<Index>(i);
        out.nu(seen[i], k) = nu(at);
        out.whitened(seen[i], k) = whitened(at);
        out.logs(seen[i], k) = base::log(root(at, at));
      }
    }
    kalman.fuse(span_of(y), rows, rows);
    if (kalman.predict(span_of(u))) continue;
    out.whitened.setConstant(std::numeric_limits<double>::quiet_NaN());
    return out;
  }
  for (Index k = 0; k < ticks; ++k) {
    const Index from = std::max<Index>(k - 1, 0);
    const Index count = std::min<Index>(k + 2, ticks) - from;
    for (Index i = 0; i < p; ++i) out.used(i, k) = measured(i, k) && !flat.row(i).segment(from, count).any();
  }
  return out;
}

}  // namespace twinkeeper::identification
