// Subspace identification: the order-n observability matrix from data alone, without iteration.
//
//   [U_f Z_p Y_f] = Q R, a row for each tick that has s ticks behind and s − 1 before it      Z_p = [U_p Y_p]
//   Γ_n: from the singular vectors of W⁻¹ R23ᵀ, R23 being what Z_p says of Y_f beyond U_f
//        CVA    W W ᵀ = R23ᵀ R23 + R33ᵀ R33, singular values are canonical correlations
//        MOESP  W = I
//   A, C: Γ without its last p rows · A = Γ without its first p, C its first p rows
//   predictor: states x = Γ⁺ (R22⁻¹ R23)ᵀ z, then x(k+1) and y(k) regressed on x(k) and u(k); K from the residuals
//
// Only R is kept, accumulated by blocks of rows: memory is that of (2s(n_u + n_y))² numbers, however long the record.
// Thread rule: plain values, pure functions. Allocates.
// Source: Van Overschee, De Moor (1996), ch. 2 and 3; Larimore (1990) for CVA; Verhaegen (1994) for MOESP.
#pragma once

#include <Eigen/Core>
#include <optional>

#include "identification/decompositions.hpp"
#include "identification/experiments.hpp"

namespace twinkeeper::identification {

enum class Weighting { cva, moesp };

struct Dynamics {  // of the plant, or of its predictor: A − K C in place of A
  Eigen::MatrixXd A, C;
};

class Subspace {
 public:
  // `horizon`: s. Nothing if the record is too short for it.
  [[nodiscard]] static std::optional<Subspace> of(const Experiments& experiments, Eigen::Index horizon);

  [[nodiscard]] Eigen::Index horizon() const { return s_; }
  [[nodiscard]] Eigen::Index most_states() const { return (s_ - 1) * p_; }
  [[nodiscard]] Dynamics plant(Eigen::Index n, Weighting weighting) const;
  [[nodiscard]] Dynamics predictor(Eigen::Index n, Weighting weighting) const;
  [[nodiscard]] const Eigen::VectorXd& correlations() const { return cva_.values; }

 private:
  [[nodiscard]] Eigen::MatrixXd observability(Eigen::Index n, Weighting weighting) const;

  Eigen::Index s_ = 0, m_ = 0, p_ = 0;
  Eigen::MatrixXd R_, root_;
  Svd cva_, moesp_;
};

}  // namespace twinkeeper::identification
