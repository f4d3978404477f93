// A start for models of records made under feedback: the predictor from one long regression on the past.
//
//   y(k) = Σ_{i=1…s} Θ_i z(k−i) + e(k)        z = [u; y]        Θ_{i} = C Ãⁱ⁻¹ [B̃ K],  Ã = A − K C
//   H = [Θ_{i+r}]  r = 0 … s−1, i = 1 … s, 0 beyond s          H L = U S Vᵀ, L Lᵀ the covariance of the s last z
//   Γ = U_n S_n^½;  C its first p rows, Ã by shift
//
// An input that answers earlier errors does no harm here: the regressors are all older than e(k). A direct term would
// be confused with the controller's, so there is none. Subspaces that project along future inputs are biased there.
// Thread rule: plain values, pure functions. Allocates.
// Source: Jansson, Subspace identification and ARX modeling (2003); Chiuso, The role of vector autoregressive modeling in
// predictor-based subspace identification (2007).
#pragma once

#include <Eigen/Core>
#include <optional>
#include <vector>

#include "identification/decompositions.hpp"
#include "identification/experiments.hpp"
#include "identification/subspace.hpp"

namespace twinkeeper::identification {

class LongRegression {
 public:
  // `lags`: s. Nothing if the record is too short for it.
  [[nodiscard]] static std::optional<LongRegression> of(const Experiments& experiments, Eigen::Index lags);

  [[nodiscard]] Eigen::Index most_states() const { return (s_ - 1) * p_; }
  // Of the predictor.
  [[nodiscard]] Dynamics predictor(Eigen::Index n) const;

 private:
  Eigen::Index s_ = 0, p_ = 0;
  Svd directions_;
};

// By input: what part of its variance does not follow from what was before it, and from y of the same tick. Near 0 nothing moves it but a controller
// whose set point stands still: then the record tells nothing of the plant.
[[nodiscard]] Eigen::VectorXd own_movement(const Experiments& experiments, Eigen::Index lags);

}  // namespace twinkeeper::identification
