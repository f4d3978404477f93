// The equations of a template with augmented states behind its own (augmentation.hpp).
//
//   f = [f(x, u + d, θ); −(z − z̄)/τ]      h = h(x, u + d, θ) + b
//   ∂/∂d = G and D       ∂/∂θ = (f(θ + δ) − f(θ − δ)) / 2δ, likewise of h
//
// δ is the power of two between 2⁻¹⁵ and 2⁻¹⁴ of θ's distance from the least value it may have, or of its size where
// that is no bound or may be reached. What the difference leaves out is of the order (δ/θ)², 1e-9 … 4e-9; what it loses
// in digits is less, unless θ hardly matters. Closed forms for every parameter would be better by what no filter can
// notice. Where two branches meet within δ the slope is their mean.
// Edge rules: a θ beyond the limits of its state counts as on them, where the equations are finite. Thread rule: as
// Dynamics, one thread for each object. Allocation: construction and clone() only.
#pragma once

#include <memory>
#include <vector>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

class AugmentedDynamics final : public Dynamics {
 public:
  // `states`: their names and limits.
  AugmentedDynamics(std::unique_ptr<Dynamics> own, std::vector<AugmentedState> augmented, std::vector<Signal> states);
  AugmentedDynamics(const AugmentedDynamics& other);
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<AugmentedDynamics>(*this); }
  [[nodiscard]] const Dynamics& machine() const override { return *own_; }

  void observe(const Vector& x, const Vector& u, Vector& h, Matrix& C, Matrix& D) const override;
  // Of a parameter that is a state: checks the value; what counts is the state.
  [[nodiscard]] base::Status set_parameter(std::string_view name, double value) override;

 private:
  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override;
  void take(const Vector& x, const Vector& u) const;
  [[nodiscard]] double step_of(std::size_t k, double theta) const;
  template <class Evaluate>
  void slope(std::size_t k, const Vector& x, Vector& out, Evaluate evaluate) const;

  std::unique_ptr<Dynamics> own_;
  std::vector<AugmentedState> augmented_;
  std::vector<Signal> states_;
  struct Workspace {
    Vector x, u, f, h, slope_f, slope_h;
    Matrix F, G, C, D;
  };
  mutable Workspace at_;
};

}  // namespace twinkeeper::model
