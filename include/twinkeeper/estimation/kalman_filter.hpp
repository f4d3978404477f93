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
// Diagonal R_VV and S_V = 0 go straight to the scalar updates. Otherwise the rows in use are whitened by the root of
// R_VV and, where S_V ≠ 0, freed of S by W = S_V R_root⁻ᵀ and the root of Q − W Wᵀ, all made once per change of V. What
// is within rounding of zero there is zero: in the innovations form with all rows P = 0 stays exactly 0, and
// rank-deficient Q is no special case. A row that is masked is as good as one that the model (its C, D, R, S) does not
// have, bit for bit, whatever the sizes are padded to. The innovations form with rows missing is that with Q, R, S as K
// and Ry give them.
//
// Steady path of a linear model: once a step has left T with the very bits it had, and as long as the same rows are
// fused, gains, Σ and P are those of that step, and only x is computed. The bits are those of the full path. Any other
// V leaves it. Small and sparse models come to such a fixed point, large dense ones wander in the last bit for ever
// (docs/decisions/0012-steady-gain.md).
//
// Augmented states can be considered only: what is measured then does not move them, but how uncertain they are goes
// into P and Σ (considered_states.hpp).
//
// Errors: predict() is false when the result is not finite. Edge rules: n_u = 0; V empty is a pure prediction.
// Thread rule: one thread at a time. Allocation: construction, reset_with_covariance() and the covariances
// for looking in from outside; no other call. Same flags, same bits: no reduction is reordered.
// Source: Potter (1963) for the scalar update, Kailath, Sayed and Hassibi (2000) for the array form of the prediction.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "twinkeeper/estimation/considered_states.hpp"
#include "twinkeeper/estimation/filter_step.hpp"
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
  std::vector<double> gain, s;             // ld×pp and pp: of the rows fused, E φ and φᵀφ + r of Potter's update
  std::vector<double> AT;                  // np×np
  std::vector<double> expected, variance;  // pp
  std::vector<double> scratch;             // 2·ld
};

struct FilterKernels;

class KalmanFilter {
 public:
  struct Memory {  // all that a step leaves to the next one
    std::vector<double> x_prior, T_prior;
    bool linearised_each_step = false;

    template <class Archive>
    void archive(Archive& a) {
      a(x_prior, T_prior, linearised_each_step);
    }
  };

  explicit KalmanFilter(const model::StateSpace& model);

  // x(k|k−1) and its standard deviations (zeros allowed), or its covariance (any PSD one; this allocates).
  void reset(const Eigen::VectorXd& x, const Eigen::VectorXd& std);
  void reset_with_covariance(const Eigen::VectorXd& x, const Eigen::MatrixXd& P);

  // Between steps. remember() allocates only into a memory that has not been used with this filter before.
  void remember(Memory& memory) const;
  void recall(const Memory& memory);

  // What remember() takes.
  template <class Archive>
  void archive(Archive& a) {
    bool linearised = extended_ && extended_->running();
    a(arrays_.x_prior, arrays_.T_prior, linearised);
    if constexpr (Archive::kReading) {
      leave_steady();
      linearise_each_step(linearised);
    }
  }

  // After predict(): moves x(k+1|k), and P(k+1|k) is this one; allocates.
  void correct(const Eigen::VectorXd& by, const Eigen::MatrixXd& P);
  // Moves x_i(k|k−1) without touching P.
  void shift_prior(std::size_t i, double by) { arrays_.x_prior[i] += by; }

  // Without effect on a linear model.
  void linearise_each_step(bool on);

  // How many values each row's measurement of this step is the mean of: R_ii / samples_i is its variance. Before
  // expect(); only with diagonal R and S = 0 (else this breaks an invariant: abort). Stays as it is until the next
  // call.
  void average(std::span<const std::uint32_t> samples);
  [[nodiscard]] bool can_average() const { return !correlated_; }

  // Whether the augmented states are considered only, until the next call. Before expect().
  void consider_augmented(bool on);

  // ŷ and diag Σ of all rows.
  void expect(std::span<const double> u);
  // Values of rows outside `good` are not looked at. Returns nis over `good`, NaN if that is empty.
  double fuse(std::span<const double> y, std::span<const std::uint8_t> good, std::span<const std::uint8_t> used);
  // Moves x_i(k|k) without touching P.
  void project(std::size_t i, double value) { arrays_.z[i] = value; }
  [[nodiscard]] bool predict(std::span<const double> u);

  // G, by which the machine may have moved unnoticed: once, before the first step; this allocates.
  void set_movement(const Eigen::MatrixXd& G);
  // After expect(): C_i G C_iᵀ of a row.
  [[nodiscard]] double movement_variance(std::size_t row) const;
  // After predict(): P(k+1|k) += factor · G, for a machine that has moved by more than its noise.
  void widen(double factor);
  // P_ii(k+1|k) of a state, after predict().
  [[nodiscard]] double prior_variance(std::size_t state) const;

  // Of the step that predict() has finished; the root, which is most of it, only on demand.
  void tell(FilterStep& out, bool with_root) const;

  // Whether the next step, should it fuse the same rows, takes the steady path.
  [[nodiscard]] bool steady() const { return steady_; }
  // The next step is a full one. Whatever changes P, R, Q or S calls this, before expect().
  void leave_steady();

  [[nodiscard]] std::span<const double> x_prior() const { return {arrays_.x_prior.data(), n()}; }
  [[nodiscard]] std::span<const double> x_post() const { return {arrays_.z.data(), n()}; }  // after expect(): k|k−1
  [[nodiscard]] std::span<const double> expected() const { return {arrays_.expected.data(), p()}; }
  [[nodiscard]] std::span<const double> innovation_variance() const { return {arrays_.variance.data(), p()}; }
  // √diag P(k|k) between fuse() and predict(), √diag P(k|k−1) between expect() and fuse().
  void standard_deviations(std::span<double> std);
  // Between fuse() and predict(), of a model with augmented states: the machine's own variances, summed, as they would
  // be were the augmented states known.
  [[nodiscard]] double own_spread() { return considered_->spread_of_others(arrays_); }

  [[nodiscard]] Eigen::MatrixXd covariance_prior() const;  // P(k|k−1), of the next step after predict()
  [[nodiscard]] Eigen::MatrixXd covariance_post() const;   // P(k|k) between fuse() and predict()

 private:
  [[nodiscard]] std::size_t n() const { return static_cast<std::size_t>(arrays_.n); }
  [[nodiscard]] std::size_t p() const { return static_cast<std::size_t>(arrays_.p); }
  [[nodiscard]] bool whitened() const { return correlated_ && !independent_; }
  [[nodiscard]] double full_nis(std::span<const double> y, std::span<const std::uint8_t> good);
  void decorrelate(std::span<const std::uint8_t> used);
  void factor_R();
  double consider();
  void whiten(double* column) const;

  FilterArrays arrays_;
  const FilterKernels* kernels_;
  std::optional<StepLinearisation> extended_;  // of a nonlinear model
  std::optional<ConsideredStates> considered_;  // of a model with augmented states
  bool considering_ = false;

  bool correlated_ = false;  // R not diagonal or S ≠ 0
  bool coupled_ = false;     // S ≠ 0
  bool innovations_form_ = false;
  bool steady_ = false;
  bool resting_ = false;      // after expect() on the steady path: E is still P(k−1|k−1)'s
  bool std_known_ = false;    // std_ is that of E
  bool independent_ = false;  // of the present V: R_VV is diagonal, and S_V = 0
  bool telling_ = false;      // of the present V: S_V ≠ 0
  Eigen::MatrixXd R_;
  Eigen::MatrixXd Q_, S_;               // this and what follows to rest_root_: if S ≠ 0
  std::vector<double> whole_Q_root_;    // of Q
  Eigen::MatrixXd rest_, rest_root_;    // workspace n × n
  std::vector<double> R_root_;          // m × m lower of the present V
  std::vector<std::uint8_t> factored_;  // V that W, R_root and Q_root belong to
  std::vector<int> used_rows_, steady_rows_;
  std::vector<double> sigma_;     // workspace p × p
  std::vector<double> whitened_;  // workspace p
  std::vector<double> ones_;      // of whitened rows: R, and their places
  std::vector<int> first_rows_;
  std::vector<double> decorrelation_scratch_;
  std::vector<double> movement_root_;        // np × np lower, of G
  std::vector<double> wide_, wide_scratch_;  // workspace of widen()
  std::vector<double> std_;
};

}  // namespace twinkeeper::estimation
