// Time-varying Kalman filter in square-root form, one scalar measurement after the other, with any rows missing.
//
//   ŷ = C x(k|k−1) + D u(k)        ν = y − ŷ        Σ = C P Cᵀ + R        V: the rows used
//   x(k|k)   = x(k|k−1) + P C_Vᵀ Σ_VV⁻¹ ν_V
//   x(k+1|k) = A x(k|k) + B u + d + S_V R_VV⁻¹ (y − C x(k|k) − D u)_V       which is A x(k|k−1) + B u + d + L ν_V,
//   P(k+1|k) = (A − S_V R_VV⁻¹ C_V) P(k|k) (…)ᵀ + Q − S_V R_VV⁻¹ S_Vᵀ        L = (A P C_Vᵀ + S_V) Σ_VV⁻¹
//
//   symbol  shape      unit       meaning
//   x, u, y …          …          deviations from the model's operating point
//   P       n_x × n_x  state²     kept as a root T with P = T Tᵀ, so it is symmetric and PSD by construction
//   nis     –          –          ν_Wᵀ Σ_WW⁻¹ ν_W over the good rows W ⊇ V
//
// A step is expect(), fuse(), optionally project(), predict(). Until predict() has succeeded the filter still holds
// x(k|k−1), so a step that went wrong is undone by not finishing it.
// Diagonal R and S = 0 go straight to the scalar updates. With S = 0 the rows in use are whitened by the root of R_VV,
// made once per change of V. Otherwise the root of [R_VV S_Vᵀ; S_V Q] is triangularised once per change of V: it
// whitens the rows and takes S out without a subtraction, so P = 0 stays exactly 0 in the innovations form, and
// rank-deficient Q is no special case. With S = 0 a row that is masked is as good as one that the model does not have,
// bit for bit. Errors: predict() is false when the result is not finite. Edge rules: n_u = 0; V empty is a pure
// prediction. Thread rule: one thread at a time. Allocation: construction, reset_with_covariance() and the covariances
// for looking in from outside; no other call. Same flags, same bits: no reduction is reordered.
// Source: Potter (1963) for the scalar update, Kailath, Sayed and Hassibi (2000) for the array form of the prediction.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "twinkeeper/estimation/step_linearisation.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::estimation {

struct FilterArrays {                        // packed, column-major, padded to the sizes the loops are written for
  int n = 0, m = 0, p = 0;                   // of the model
  int np = 0, pp = 0, ld = 0;                // padded n and p, ld = np + pp
  std::vector<double> A, B, C, D, drift, R;  // np×np, np×m, pp×np, pp×m, np, pp (diagonal)
  std::vector<double> Q_root;                // np×np lower
  std::vector<double> W;                     // np×pp: S_V times the inverse transposed root of R_VV
  std::vector<double> x_prior, T_prior;      // np, np×np lower
  std::vector<double> x_next, T_next;
  std::vector<double> z;                   // ld: x(k|k) over innovations
  std::vector<double> E;                   // ld×np: T over C T
  std::vector<double> AT;                  // np×np
  std::vector<double> expected, variance;  // pp
  std::vector<double> scratch;             // 2·ld
};

struct FilterKernels;

class KalmanFilter {
 public:
  explicit KalmanFilter(const model::StateSpace& model);

  // x(k|k−1) and its standard deviations (zeros allowed), or its covariance (any PSD one; this allocates).
  void reset(const Eigen::VectorXd& x, const Eigen::VectorXd& std);
  void reset_with_covariance(const Eigen::VectorXd& x, const Eigen::MatrixXd& P);

  // Moves x_i(k|k−1) without touching P.
  void shift_prior(std::size_t i, double by) { arrays_.x_prior[i] += by; }

  // Without effect on a linear model.
  void linearise_each_step(bool on);

  // ŷ and diag Σ of all rows.
  void expect(std::span<const double> u);
  // Values of rows outside `good` are not looked at. Returns nis over `good`, NaN if that is empty.
  double fuse(std::span<const double> y, std::span<const std::uint8_t> good, std::span<const std::uint8_t> used);
  // Moves x_i(k|k) without touching P.
  void project(std::size_t i, double value) { arrays_.z[i] = value; }
  [[nodiscard]] bool predict(std::span<const double> u);

  [[nodiscard]] std::span<const double> x_prior() const { return {arrays_.x_prior.data(), n()}; }
  [[nodiscard]] std::span<const double> x_post() const { return {arrays_.z.data(), n()}; }  // after expect(): k|k−1
  [[nodiscard]] std::span<const double> expected() const { return {arrays_.expected.data(), p()}; }
  [[nodiscard]] std::span<const double> innovation_variance() const { return {arrays_.variance.data(), p()}; }
  // √diag P(k|k) between fuse() and predict(), √diag P(k|k−1) between expect() and fuse().
  void standard_deviations(std::span<double> std);

  [[nodiscard]] Eigen::MatrixXd covariance_prior() const;  // P(k|k−1), of the next step after predict()
  [[nodiscard]] Eigen::MatrixXd covariance_post() const;   // P(k|k) between fuse() and predict()

 private:
  [[nodiscard]] std::size_t n() const { return static_cast<std::size_t>(arrays_.n); }
  [[nodiscard]] std::size_t p() const { return static_cast<std::size_t>(arrays_.p); }
  [[nodiscard]] double full_nis(std::span<const double> y, std::span<const std::uint8_t> good);
  void decorrelate(std::span<const std::uint8_t> used);
  void factor_R();
  void whiten();

  FilterArrays arrays_;
  const FilterKernels* kernels_;
  std::optional<StepLinearisation> extended_;  // of a nonlinear model

  bool correlated_ = false;     // R not diagonal or S ≠ 0
  bool coupled_ = false;        // S ≠ 0
  bool independent_ = false;    // of correlated noise: the rows in use of R are diagonal by themselves, and S = 0
  Eigen::MatrixXd joint_root_;  // F with F Fᵀ = cov[v; w], rows v first
  Eigen::MatrixXd R_;
  std::vector<double> triangle_;        // workspace (p + n) × (p + n), column-major
  std::vector<double> R_root_;          // m × m lower of the present V
  std::vector<std::uint8_t> factored_;  // V that W, R_root and Q_root belong to
  std::vector<int> used_rows_;
  std::vector<double> sigma_;     // workspace p × p
  std::vector<double> whitened_;  // workspace p
  std::vector<double> decorrelation_scratch_;
};

}  // namespace twinkeeper::estimation
