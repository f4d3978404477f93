// FaultIsolation: which fault explains a twin's innovations best, since when, and how large it is.
//
//   A fault of size f from step θ on adds f b to the state's equation and f c to the outputs. What a Kalman filter that
//   fuses every good row makes of it is linear in f:
//     e(k+1) = (A − L C) e(k) + f (b − L c)     ν(k) = ν₀(k) + f (C e(k)/f + c) = ν₀(k) + f G(k; θ)     e(θ) = 0
//   with ν₀ white, N(0, Σ(k)). So with J = Σ_{k ≥ θ} Gᵀ Σ⁻¹ G and ρ = Σ_{k ≥ θ} Gᵀ Σ⁻¹ ν
//     f̂ = ρ / J      σ_f = 1 / √J      l(θ) = ρ² / J, twice the logarithm of the generalised likelihood ratio
//
//   symbol  shape      unit                meaning
//   b, c    n_x, n_y   per unit of f       bias of output i: 0, e_i; drift of output i: the bias grows by f each step;
//                                          fault of input j: B_j, D_j; disturbance of state s: e_s, 0
//   L, Σ    n_x × n_y  state / output, …   predictor gain and innovation covariance of that filter
//   κ       –          –                   what f is held to be before anything is seen: N(0, κ²) times the size that
//                                          kReferenceSteps steps tell from 0 by one σ_f
//
// The twin's own filter is another one: its gate rejects what a large fault shows. Its steps are recorded
// (fault_record.hpp); on demand the filter above is run over the record from the P at its begin, fed with the
// differences of the two:
//   δ(k) = difference of the predictions     ν(k) = ν_twin(k) − C δ(k)     δ(k+1) = A δ(k) + L ν(k) − (L_V ν_V)_twin(k)
// so inputs need not be kept, and the result is that of a second filter that had run beside the twin all the time.
//
// A row that the gate rejected may be an outlier, or what a fault of about the gate's size shows now and then. Rejections
// of an output that have no kBlock passes between them belong together; fewer than kOutlier of them are outliers once a
// pass has come, and left out.
//
// All onsets at once: J and ρ of every θ come from one sweep backwards over the record, as quadratic and linear form of
// (e, f): with F = A − L C, β = b − L c,
//     N ← Cᵀ Σ⁻¹ C + Fᵀ N F      m ← Cᵀ Σ⁻¹ c + Fᵀ (N β + m)      J ← cᵀ Σ⁻¹ c + βᵀ (N β + 2 m) + J
//     r ← Cᵀ Σ⁻¹ ν + Fᵀ r        ρ ← cᵀ Σ⁻¹ ν + βᵀ r + ρ
// (a drift has one level more). Hence no grid of onsets, and the cost of an evaluation is that of W steps forth and
// back, O(W (n³ + H n²)), however long the fault has lasted.
//
// Probabilities: of each hypothesis, Σ_θ w(θ), w = exp(l / 2) / √(1 + κ² J / J_ref); onsets are equally likely before,
// and so are groups of hypotheses that look alike. If the best one leaves more than noise, s² = its χ² per degree of
// freedom > 1, l is divided by s², and σ_f multiplied by s: a model that does not fit is not sure of itself.
// Where calibration has found sums of the innovations of output i to be λ_i > 1 times as large as the model says, because
// they are larger or not white, Λ⁻¹ Σ⁻¹ Λ⁻¹ stands for Σ⁻¹ in all of this but the gain, Λ = diag λ.
// The onset is uncertain, too: σ² = Σ_θ w(θ) (σ_f²(θ) + (f̂(θ) − f̂)²) / Σ_θ w(θ).
//
// The state without the fault: x(k|k−1) of the twin + δ(k) + f̂ e(k), with covariance P(k) + σ² e eᵀ, is what a filter
// comes to that has known from the onset on that there is a fault of this kind, but not its size.
//
// Nonlinear models: A, C are those that the twin was linearised to at each step, b of an input or parameter and Q those of
// the operating point; dead times of inputs are not in c and b: the onset is that of the effect.
//
// Errors: none; a Σ that is not positive definite ends an evaluation without a result. Edge rules: rows of virtual
// outputs never come; fewer than kLeast steps give no result. Thread rule: one thread. Allocation: evaluations allocate.
// Source: Willsky and Jones (1976); the backward sweep after de Jong and Penzer, Diagnosing Shocks in Time Series, JASA
// 93 (1998).
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/fault_record.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::diagnosis {

enum class FaultKind : std::uint8_t { bias, drift, input, disturbance, parameter };

[[nodiscard]] constexpr bool of_sensor(FaultKind kind) { return kind == FaultKind::bias || kind == FaultKind::drift; }

struct FaultHypothesis {
  FaultKind kind = FaultKind::bias;
  std::size_t at = 0;             // output, input or state, or place among parameters()
  std::vector<std::size_t> like;  // hypotheses whose course can't be told from this one's (model::Ambiguity)
};

// What makes one look for a cause.
struct Departure {
  std::size_t output = 0;
  base::Instant since;
};

struct FaultEstimate {
  std::size_t hypothesis = 0;
  double probability = 0.0;
  double statistic = 0.0;      // l of the best onset
  double magnitude = 0.0;      // f̂; of a drift in output / s, of a disturbance in state / s
  double magnitude_std = 0.0;  // σ
  base::Instant onset;         // the step that ν shows it first
  std::int64_t begin = 0;      // its tick
  bool older = false;          // or before: it is the first that there is
};

// When a cause is looked for while something warns: after so many steps, and then ever more rarely. After the longest of
// these the record is another one.
class LookSchedule {
 public:
  void calm() { *this = {}; }
  bool due() { return ++waited_ >= after_; }  // once a step
  void looked() {
    waited_ = 0;
    after_ = after_ < kLongest ? 2 * after_ : kLongest;
  }
  template <class Archive>
  void archive(Archive& a) {
    a(waited_, after_);
  }
  static constexpr int kFirst = 8;

 private:
  static constexpr int kLongest = 256;
  int waited_ = 0, after_ = kFirst;
};

class FaultIsolation {
 public:
  static constexpr std::int64_t kLeast = 3;
  static constexpr int kOutlier = 3;
  static constexpr double kEvidence = 20.0;  // statistic below which nothing is said: noise comes to 15 at times
  static constexpr double kDecisive = 32.0;  // that says something by itself
  static constexpr double kSure = 0.9;       // probability

  // `mapped`: per output, whether it is ever measured.
  FaultIsolation(const model::StateSpace& model, const std::vector<bool>& mapped);

  // λ of every output. Before the steps of another regime.
  void weigh(const std::vector<double>& long_run);

  // After step `now`: begins an evaluation of the steps from `from` on, of which it takes the newest kWindow, or goes on
  // with the one begun; one that has been let lie is given up. True when it is done: estimates() are there, best first,
  // none if there is no result. Each call does at most a fraction of the work that keeps a step of the period short, so
  // that an evaluation takes at most kBlock − 1 steps. Called again after the step that ended one, it only says so.
  bool evaluate(const FaultRecord& record, std::int64_t from, std::int64_t now);
  void give_up() {
    at_ = {};
    let_go();
  }
  // At every step: lets go of what an evaluation took (about 100 KB), some steps after the last that needed it.
  void rest(std::int64_t now) {
    if (now - at_.last >= FaultRecord::kBlock) let_go();
  }
  [[nodiscard]] const std::vector<FaultEstimate>& estimates() const { return estimates_; }
  [[nodiscard]] const std::vector<FaultHypothesis>& hypotheses() const { return hypotheses_; }
  [[nodiscard]] const std::vector<model::ParameterEffect>& parameters() const { return parameters_; }
  // The most probable one, counting those that look the same as one, if its statistic is not below kEvidence.
  [[nodiscard]] const FaultEstimate* cause() const;
  // Whether at least half of what an output has shown since a step, summed, comes of the fault: in a model that does
  // not fit, what explains the innovations best may have nothing to do with what warns.
  [[nodiscard]] bool accounts_for(const FaultEstimate& fault, const Departure& departure) const;
  // That a sensor is at fault, this one or any.
  [[nodiscard]] double sensor_probability(std::optional<std::size_t> output = std::nullopt) const;
  // Of hypotheses that can't be told from that of an estimate, itself included.
  [[nodiscard]] double group_probability(const FaultEstimate& estimate) const;

  // What makes x(now + 1|now) of the twin the state without the fault, after the evaluation that has just ended.
  struct Correction {
    Eigen::VectorXd by;
    Eigen::MatrixXd P;
  };
  [[nodiscard]] std::optional<Correction> without(const FaultEstimate& fault, const FaultRecord& record,
                                                  std::int64_t now);

  // How far an evaluation has come. One that is recalled is done again up to there from the record, which may have
  // changed; what an evaluation that had ended has found is gone.
  struct Progress {
    enum class Phase : std::uint8_t { idle, forth, back };
    Phase phase = Phase::idle;
    std::int64_t first = 0, last = 0, next = 0;
    std::int64_t ended = kNever;  // after this step

    template <class Archive>
    void archive(Archive& a) {
      a(phase, first, last, next, ended);
    }
  };
  [[nodiscard]] const Progress& progress() const { return at_; }
  void recall(const Progress& progress) {
    at_ = progress;
    behind_ = progress.phase != Progress::Phase::idle;
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
  using Phase = Progress::Phase;
  using Matrix = Eigen::MatrixXd;
  using Vector = Eigen::VectorXd;
  using Index = Eigen::Index;
  struct Gains {               // of one step of the filter that fuses every good row
    Matrix F, L, X, XC, beta;  // X = Σ⁻¹ on the good rows, 0 elsewhere
    Matrix A, C;               // of a nonlinear model
  };

  struct Course {  // of a fault of size 1
    Index column;  // of b and c
    bool ramp;
    std::int64_t begin;
    [[nodiscard]] double level(std::int64_t k) const { return ramp ? static_cast<double>(k - begin) : 1.0; }
  };
  [[nodiscard]] Course course_of(const FaultEstimate& fault) const;

  void begin(const FaultRecord& record);
  void let_go();
  void catch_up(const FaultRecord& record);
  [[nodiscard]] bool forward(const FaultRecord& record, std::int64_t k);
  void backward(std::int64_t k);
  void conclude(const FaultRecord& record);
  [[nodiscard]] bool invert_innovation(Gains& gains, const Matrix& C, const double* R, std::int64_t k);
  void mark_good(const FaultRecord& record);
  [[nodiscard]] std::size_t place(std::int64_t k) const { return static_cast<std::size_t>(k - at_.first); }

  bool nonlinear_;
  Vector weight_;  // 1 / λ
  Matrix A_, C_, Q_, R_, S_;
  Matrix b_, c_;        // n × H, p × H: of all hypotheses but drifts
  std::size_t biases_;  // the first of them; drifts are these again, behind all others
  std::vector<FaultHypothesis> hypotheses_;
  std::vector<model::ParameterEffect> parameters_;
  std::vector<double> per_second_;  // of a magnitude: 1, or 1 / period where it is per step
  std::size_t quota_;               // steps per call

  // An evaluation.
  Progress at_;
  bool behind_ = false;             // recalled: to be done again up to at_
  std::vector<std::uint8_t> good_;  // by step and row
  std::vector<Gains> gains_;
  std::vector<std::size_t> gain_of_;
  bool settled_ = false;
  Matrix P_, N_, m_, m_ramp_;
  Vector delta_, r_;
  std::vector<Vector> innovation_;  // ν by step
  std::vector<Vector> weighted_;    // Σ⁻¹ ν
  std::vector<double> chi_square_;  // νᵀ Σ⁻¹ ν
  std::vector<base::Instant> time_;
  std::vector<int> rows_;
  Vector J_, rho_, J_ramp_, cross_, rho_ramp_;
  Matrix information_, score_;  // J and ρ by step and hypothesis
  std::vector<FaultEstimate> estimates_;
};

}  // namespace twinkeeper::diagnosis
