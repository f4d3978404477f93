#include "model/augmented_dynamics.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace twinkeeper::model {
namespace {

bool has_parameter(const std::vector<AugmentedState>& augmented) {
  return std::any_of(augmented.begin(), augmented.end(),
                     [](const AugmentedState& state) { return state.kind == AugmentKind::parameter; });
}

}  // namespace

AugmentedDynamics::AugmentedDynamics(std::unique_ptr<Dynamics> own, std::vector<AugmentedState> augmented,
                                     std::vector<Signal> states)
    : Dynamics(*own, static_cast<Index>(augmented.size()), own->linear() && !has_parameter(augmented)),
      own_(std::move(own)),
      augmented_(std::move(augmented)),
      states_(std::move(states)) {
  const Index n = own_->n_x();
  at_ = {Vector(n),     Vector(n_u()), Vector(n),        Vector(n_y()),    Vector(n),
         Vector(n_y()), Matrix(n, n),  Matrix(n, n_u()), Matrix(n_y(), n), Matrix(n_y(), n_u())};
}

AugmentedDynamics::AugmentedDynamics(const AugmentedDynamics& other)
    : Dynamics(other),
      own_(other.own_->clone()),
      augmented_(other.augmented_),
      states_(other.states_),
      at_(other.at_) {}

// What the equations themselves see of x and u.
void AugmentedDynamics::take(const Vector& x, const Vector& u) const {
  const Index n = own_->n_x();
  at_.x = x.head(n);
  at_.u = u;
  for (std::size_t k = 0; k < augmented_.size(); ++k) {
    const double z = x(n + static_cast<Index>(k));
    const std::size_t at = augmented_[k].at;
    if (augmented_[k].kind == AugmentKind::input_disturbance) at_.u(static_cast<Index>(at)) += z;
    if (augmented_[k].kind == AugmentKind::parameter) {
      put_theta(*own_, at, std::clamp(z, states_[k].limits.min, states_[k].limits.max));
    }
  }
}

double AugmentedDynamics::step_of(std::size_t k, double theta) const {
  const AugmentedState& state = augmented_[k];
  const ParameterInfo& info = parameter_infos()[state.at];
  double size = std::abs(theta);
  if (std::isfinite(info.least) && info.above_least) {
    size = theta - info.least;
  } else {
    const double usual = std::max(std::abs(state.mean), std::abs(state.initial));
    size = std::max(size, usual > 0.0 ? usual : std::max(state.initial_std, state.noise_density));
  }
  int exponent = 0;
  (void)std::frexp(size, &exponent);
  return std::ldexp(1.0, exponent - 15);
}

// `evaluate` is called with θ moved by ± δ and returns where it left its values.
template <class Evaluate>
void AugmentedDynamics::slope(std::size_t k, const Vector& x, Vector& out, Evaluate evaluate) const {
  const double theta = std::clamp(x(own_->n_x() + static_cast<Index>(k)), states_[k].limits.min, states_[k].limits.max);
  const double step = step_of(k, theta);
  const double above = theta + step;
  const double below = theta - step;
  put_theta(*own_, augmented_[k].at, above);
  out = evaluate();
  put_theta(*own_, augmented_[k].at, below);
  out -= evaluate();
  out /= above - below;
  put_theta(*own_, augmented_[k].at, theta);
}

void AugmentedDynamics::derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const {
  const Index n = own_->n_x();
  take(x, u);
  own_->evaluate(at_.x, at_.u, at_.f, at_.F, at_.G);
  f.head(n) = at_.f;
  F.topLeftCorner(n, n) = at_.F;
  G.topRows(n) = at_.G;
  for (std::size_t k = 0; k < augmented_.size(); ++k) {
    const AugmentedState& state = augmented_[k];
    const Index i = n + static_cast<Index>(k);
    f(i) = -state.rate * (x(i) - state.mean);
    F(i, i) = -state.rate;
    if (state.kind == AugmentKind::input_disturbance) {
      F.col(i).head(n) = G.col(static_cast<Index>(state.at)).head(n);
    } else if (state.kind == AugmentKind::parameter) {
      slope(k, x, at_.slope_f, [&]() -> const Vector& {
        own_->evaluate(at_.x, at_.u, at_.f, at_.F, at_.G);
        return at_.f;
      });
      F.col(i).head(n) = at_.slope_f;
    }
  }
}

void AugmentedDynamics::observe(const Vector& x, const Vector& u, Vector& h, Matrix& C, Matrix& D) const {
  const Index n = own_->n_x();
  take(x, u);
  own_->observe(at_.x, at_.u, h, at_.C, D);
  C.setZero();
  C.leftCols(n) = at_.C;
  for (std::size_t k = 0; k < augmented_.size(); ++k) {
    const AugmentedState& state = augmented_[k];
    const Index i = n + static_cast<Index>(k);
    const auto at = static_cast<Index>(state.at);
    if (state.kind == AugmentKind::sensor_bias) {
      h(at) += x(i);
      C(at, i) = 1.0;
    } else if (state.kind == AugmentKind::input_disturbance) {
      C.col(i) = D.col(at);
    } else {
      slope(k, x, at_.slope_h, [&]() -> const Vector& {
        own_->observe(at_.x, at_.u, at_.h, at_.C, at_.D);
        return at_.h;
      });
      C.col(i) = at_.slope_h;
    }
  }
}

base::Status AugmentedDynamics::set_parameter(std::string_view name, double value) {
  if (auto status = own_->set_parameter(name, value); !status) return status;
  return Dynamics::set_parameter(name, value);
}

}  // namespace twinkeeper::model
