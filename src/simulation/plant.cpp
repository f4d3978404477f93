#include "simulation/plant.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <utility>

namespace twinkeeper::simulation {
namespace {

constexpr int kParts = 10;  // of a step of equations

// Square root of a covariance that may be singular. It is scaled to a correlation first: states and outputs may differ
// by many orders of magnitude, and the small ones must not drown in the rounding of the large ones.
Eigen::MatrixXd square_root(const Eigen::MatrixXd& covariance) {
  const Eigen::VectorXd scale = covariance.diagonal().cwiseMax(0.0).cwiseSqrt();
  const Eigen::VectorXd inverse = scale.unaryExpr([](double s) { return s > 0.0 ? 1.0 / s : 0.0; });
  const Eigen::MatrixXd correlation = inverse.asDiagonal() * covariance * inverse.asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(correlation);
  const Eigen::VectorXd root = solver.eigenvalues().cwiseMax(0.0).cwiseSqrt();
  return scale.asDiagonal() * solver.eigenvectors() * root.asDiagonal();
}

Eigen::MatrixXd joint_covariance(const model::StateSpace& model) {
  const Eigen::Index n = model.n_x();
  const Eigen::Index m = model.n_y();
  Eigen::MatrixXd joint = Eigen::MatrixXd::Zero(n + m, n + m);
  joint.topLeftCorner(n, n) = model.Q;
  joint.bottomRightCorner(m, m) = model.R;
  if (model.S.size() > 0) {
    joint.topRightCorner(n, m) = model.S;
    joint.bottomLeftCorner(m, n) = model.S.transpose();
  }
  return joint;
}

}  // namespace

Plant::Plant(model::StateSpace model, base::Random random)
    : model_(model::with_late_inputs(model)),
      delay_(model),
      told_(static_cast<std::size_t>(model.n_u())),
      drive_(delay_.drive_size()),
      random_(random),
      noise_factor_(square_root(joint_covariance(model_))),
      white_(Eigen::VectorXd::Zero(model_.n_x() + model_.n_y())),
      noise_(white_),
      ones_(Eigen::VectorXd::Ones(model_.n_y())),
      du_(Eigen::VectorXd::Zero(model_.n_u())),
      dx_(Eigen::VectorXd::Zero(model_.n_x())),
      x_(model_.initial.value_or(model_.x_op)),
      y_(model_.y_op) {
  for (std::size_t k = 0; k < model_.augmented.size(); ++k) {
    x_(model_.n_own() + static_cast<Eigen::Index>(k)) = model_.augmented[k].initial;
  }
  limit();
  if (model_.nonlinear()) follow_equations();
}

void Plant::follow_equations() {
  dynamics_ = model_.dynamics->clone();
  f_ = x_;
  h_ = y_;
  u_ = model_.u_op;
  F_ = model_.A;
  G_ = model_.B;
  C_ = model_.C;
  D_ = model_.D;
  dynamics_->evaluate(model_.x_op, model_.u_op, f_, F_, G_);
  part_ = model::StepExponential(F_, model_.W, model_.sample_time / kParts);
}

base::Status Plant::set_parameter(std::string_view name, double value) {
  if (!model_.dynamics) return base::Error(base::ErrorCode::not_found, "the model is not of a template");
  if (model_.foh()) {
    return base::Error(base::ErrorCode::invalid_argument,
                       "parameters of a model with discretization: foh can't be changed; accepted: zoh");
  }
  if (model_.B_late.size() != 0) {
    return base::Error(
        base::ErrorCode::invalid_argument,
        "parameters of a model with a part of a step of dead time can't be changed; accepted: dead times "
        "of whole steps");
  }
  if (!dynamics_) follow_equations();
  auto status = dynamics_->set_parameter(name, value);
  if (!status) return status;
  for (std::size_t k = 0; k < model_.augmented.size(); ++k) {
    const model::AugmentedState& state = model_.augmented[k];
    if (state.kind != model::AugmentKind::parameter || state.of != name) continue;
    x_(model_.n_own() + static_cast<Eigen::Index>(k)) = value;
    limit();
  }
  return status;
}

const Eigen::VectorXd& Plant::measure(const Eigen::VectorXd& u) { return measure(u, ones_); }

const Eigen::VectorXd& Plant::measure(const Eigen::VectorXd& u, const Eigen::VectorXd& noise_factors) {
  for (double& value : white_) value = random_.normal();
  noise_.noalias() = noise_factor_ * white_;
  drive(u);
  if (dynamics_) {
    dynamics_->observe(x_, u_, h_, C_, D_);
    y_ = h_ + noise_factors.cwiseProduct(noise_.tail(model_.n_y()));
    return y_;
  }
  if (between_) {
    x_.noalias() += model_.hold_offset * du_;
    limit();
    between_ = false;
  }
  find_deviation();
  y_ = model_.y_op + noise_factors.cwiseProduct(noise_.tail(model_.n_y()));
  y_.noalias() += model_.C * dx_;
  if (model_.n_u() > 0) y_.noalias() += model_.D * du_;
  return y_;
}

void Plant::advance(const Eigen::VectorXd& disturbance) {
  if (dynamics_) {
    for (int i = 0; i < kParts; ++i) {
      dynamics_->evaluate(x_, u_, f_, F_, G_);
      part_.compute(F_, false);
      x_.noalias() += part_.gamma() * f_;
    }
    x_ += disturbance * model_.sample_time + noise_.head(model_.n_x());
    limit();
    return;
  }
  find_deviation();
  x_ = model_.x_op + disturbance * model_.sample_time + noise_.head(model_.n_x());
  if (model_.d.size() > 0) x_ += model_.d;
  x_.noalias() += model_.A * dx_;
  if (model_.n_u() > 0) x_.noalias() += model_.B * du_;
  between_ = model_.foh();
  if (!between_) limit();
}

// Of the state that A … D belong to.
void Plant::find_deviation() {
  dx_ = x_ - model_.x_op;
  if (model_.foh()) dx_.noalias() -= model_.hold_offset * du_;
}

// Once per step.
void Plant::drive(const Eigen::VectorXd& u) {
  for (std::size_t j = 0; j < told_.size(); ++j) {
    const auto at = static_cast<Eigen::Index>(j);
    told_[j] = u(at) - model_.u_op(at);
  }
  delay_.push(told_, drive_);
  for (std::size_t j = 0; j < drive_.size(); ++j) du_(static_cast<Eigen::Index>(j)) = drive_[j];
  if (dynamics_) u_ = model_.u_op + du_;
}

void Plant::limit() {
  for (Eigen::Index i = 0; i < x_.size(); ++i) {
    const model::Limits& limits = model_.states[static_cast<std::size_t>(i)].limits;
    x_[i] = std::min(std::max(x_[i], limits.min), limits.max);
  }
}

}  // namespace twinkeeper::simulation
