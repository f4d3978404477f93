// How far estimates by least squares may be off, when what the model leaves of the record is no white noise.
//
//   H = Jᵀ J     z(k) = gᵀ H⁺ J(k)ᵀ r(k)     var gᵀθ = T/(T − P) · (γ(0) + 2 Σ_{l=1…L} (1 − l/(L+1)) γ(l)),
//   γ(l) = Σ_k z(k) z(k−l)
//
//   symbol  shape    meaning
//   J, r    T p × P  slopes and residuals, tick by tick with p outputs each
//   g       P        slope of what is asked for: a parameter itself, a gain, a time constant
//   L       –        from the correlation of z from one tick to the next (Andrews' rule for Bartlett's weights)
//
// and never less than σ² gᵀ H⁺ g, which it is with white residuals: where few ticks decide on a parameter they are met so
// exactly that z says nothing, and a fit makes the sum of z 0, so that slow series look steadier than they are. H⁺ leaves out the directions that the record says nothing of
// (eigenvalues of the scaled H below kOpen).
// Thread rule: pure functions. Allocates.
// Source: Newey and West (1987); Andrews (1991), table I and eq. 6.4; Ljung, System Identification (1999), eq. 9.17.
#pragma once

#include <Eigen/Core>
#include <complex>
#include <string>
#include <vector>

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

inline constexpr double kOpen = 1e-11;

// By row of `asked`: gᵀ. Columns of J that are zero throughout count as fixed.
[[nodiscard]] Eigen::VectorXd standard_deviations(const Eigen::MatrixXd& slopes, const Eigen::VectorXd& residuals,
                                                  Eigen::Index outputs, const Eigen::MatrixXd& asked);

// The parameters that take part in each direction in which nothing shows.
[[nodiscard]] std::vector<std::vector<Eigen::Index>> open_directions(const Eigen::MatrixXd& slopes);

struct PoleEstimate {
  double time_constant = 0.0, time_constant_std = 0.0;  // ticks
  double period = 0.0, period_std = 0.0;                // ticks; infinite: none
};
struct LinearUncertainty {
  Eigen::MatrixXd gain, gain_std;   // C (I − A)⁻¹ B + D, n_y × n_u, scaled as the experiments are
  std::vector<PoleEstimate> poles;  // slowest first, of a pair the one above the real axis
};
inline constexpr Eigen::Index kMostUncertain = 250;
// Of a model with A … D, of the errors that it was fitted to: those one step ahead if it has a K that was fitted with
// them (`one_step`), else those of its free simulation. Empty for more than kMostUncertain parameters.
[[nodiscard]] LinearUncertainty linear_uncertainty(const Experiments& experiments, const LinearModel& model,
                                                   bool one_step);
// Of a model of lags in observer form (regression.hpp). Numbers that are 0 count as left out, those of outputs that are
// walks as given.
[[nodiscard]] LinearUncertainty lag_uncertainty(const Experiments& experiments, const LinearModel& model,
                                                const std::vector<bool>& walks);

}  // namespace twinkeeper::identification
