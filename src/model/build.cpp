#include <Eigen/Cholesky>
#include <cmath>
#include <limits>

#include "model/augment.hpp"
#include "model/checks.hpp"
#include "model/equilibrium.hpp"
#include "model/sensor_lag.hpp"
#include "model/validity.hpp"
#include "model/wording.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"
#include "twinkeeper/model/hold.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kWholeStep = 1e-9;  // a dead time so near to a whole number of steps is one, as a share of the step
constexpr double kAgreement = 1e-6;  // relative, of what is given twice
constexpr double kPsdTolerance = -1e-9;  // of a correlation matrix, for numbers that were printed and read again
constexpr double kPdTolerance = 1e-13;   // likewise: below it R cannot be inverted
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kUnbounded = std::numeric_limits<double>::infinity();

class Builder {
 public:
  // `written`: how many states stand in the file; those of lags are behind them.
  Builder(ModelSettings settings, std::size_t written, double period_s, std::vector<double> dead_times_s)
      : in_(std::move(settings)),
        written_(written),
        period_s_(period_s),
        dead_times_s_(std::move(dead_times_s)),
        n_(static_cast<Index>(in_.states.size())),
        m_(static_cast<Index>(in_.inputs.size())),
        p_(static_cast<Index>(in_.outputs.size())),
        continuous_(in_.time == TimeBase::continuous) {}

  Built run() {
    describe();
    take_sample_time();
    if (in_.type == kStateSpace) {
      take_matrices();
      take_operating_point();
    } else {
      linearise();
    }
    // Linear algebra on matrices of wrong shapes would only repeat the fault.
    if (!issues_.empty() && shapes_are_wrong_) return issues_;
    take_dead_times();
    take_noise();
    if (issues_.empty()) issues_ = indistinguishable(out_);
    take_initial();
    if (!issues_.empty()) return issues_;
    augment_initial(out_);
    return out_;
  }

 private:
  void fault(std::string path, std::string what, std::string accepted) {
    issues_.push_back({std::move(path), std::move(what), std::move(accepted)});
  }

  // A template's states and inputs stand in its order, not in that of the file: they are named.
  [[nodiscard]] std::string indexed(const std::string& list, std::size_t i, const char* key) const {
    std::string item = "[" + std::to_string(i) + "].";
    if (in_.type != kStateSpace && list == "states") item = "." + in_.states[i].name + ".";
    if (in_.type != kStateSpace && list == "inputs") item = "." + in_.inputs[i].name + ".";
    return "model." + list + item + key;
  }

  void describe() {
    out_.name = in_.name;
    out_.version = in_.version;
    out_.hash = in_.hash;
    for (const auto& s : in_.states) out_.states.push_back({s.name, s.unit, limits(s.min, s.max)});
    for (const auto& s : in_.inputs) out_.inputs.push_back({s.name, s.unit, limits(s.min, s.max)});
    for (const auto& s : in_.outputs) {
      out_.outputs.push_back({s.name, s.unit, limits({}, {})});
      out_.noise_std.push_back(s.noise_std.value_or(kNaN));
      out_.resolution.push_back(s.resolution.value_or(kNaN));
    }
    take_validity(in_, out_);
    if (n_ == 0) shape_fault("model.states", "no state", "at least one state");
    if (p_ == 0) shape_fault("model.outputs", "no output", "at least one output");
    check_limits("states", in_.states);
    check_limits("inputs", in_.inputs);
  }

  static Limits limits(const std::optional<double>& min, const std::optional<double>& max) {
    return {min.value_or(-kUnbounded), max.value_or(kUnbounded)};
  }

  template <class List>
  void check_limits(const char* name, const List& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].min && list[i].max && !(*list[i].min < *list[i].max)) {
        fault(indexed(name, i, "min"), "min " + print(*list[i].min) + " is not below max " + print(*list[i].max),
              "min < max");
      }
    }
  }

  void take_sample_time() {
    out_.sample_time = period_s_;
    if (!(period_s_ > 0.0) || !std::isfinite(period_s_)) {
      shape_fault("model.sample_time", "the period is " + print(period_s_) + " s", "a positive number of seconds");
      return;
    }
    if (continuous_) return;
    if (!in_.sample_time) {
      fault("model.sample_time", "missing in a discrete model", "seconds");
    } else if (!(std::abs(*in_.sample_time - period_s_) <= 1e-9 * period_s_)) {
      fault("model.sample_time",
            print(*in_.sample_time) + " s is not the period of the twin, " + print(period_s_) + " s",
            "equal values, or a continuous model");
    }
    if (!in_.dx.empty()) fault("model.dx", "given for a discrete model", "dx only with time: continuous");
  }

  void shape_fault(std::string path, std::string what, std::string accepted) {
    shapes_are_wrong_ = true;
    fault(std::move(path), std::move(what), std::move(accepted));
  }

  MatrixXd matrix(const std::string& path, const Rows& rows, Index n_rows, Index n_columns) {
    MatrixXd result = MatrixXd::Zero(n_rows, n_columns);
    bool fits = static_cast<Index>(rows.size()) == n_rows;
    for (const auto& row : rows) fits = fits && static_cast<Index>(row.size()) == n_columns;
    if (!fits) {
      const std::size_t columns = rows.empty() ? 0 : rows.front().size();
      shape_fault(path, "is " + std::to_string(rows.size()) + " × " + std::to_string(columns),
                  std::to_string(n_rows) + " × " + std::to_string(n_columns));
      return result;
    }
    for (Index i = 0; i < n_rows; ++i) {
      for (Index j = 0; j < n_columns; ++j) {
        result(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
      }
    }
    if (!result.allFinite()) shape_fault(path, "has a number that is not finite", "finite numbers");
    return result;
  }

  MatrixXd matrix_or_zero(const std::string& path, const Rows& rows, Index n_rows, Index n_columns) {
    return rows.empty() ? MatrixXd(MatrixXd::Zero(n_rows, n_columns)) : matrix(path, rows, n_rows, n_columns);
  }

  VectorXd vector(const std::string& path, const std::vector<double>& values, Index size) {
    if (static_cast<Index>(values.size()) != size) {
      shape_fault(path, "has " + std::to_string(values.size()) + " numbers", std::to_string(size));
      return VectorXd::Zero(size);
    }
    const VectorXd result = Eigen::Map<const VectorXd>(values.data(), size);
    if (!result.allFinite()) shape_fault(path, "has a number that is not finite", "finite numbers");
    return result;
  }

  void take_matrices() {
    out_.A = matrix("model.A", in_.A, n_, n_);
    out_.B = m_ == 0 ? MatrixXd(n_, 0) : matrix("model.B", in_.B, n_, m_);
    out_.C = matrix("model.C", in_.C, p_, n_);
    out_.D = m_ == 0 ? MatrixXd(p_, 0) : matrix_or_zero("model.D", in_.D, p_, m_);
    out_.d = in_.dx.empty() ? VectorXd(VectorXd::Zero(n_)) : vector("model.dx", in_.dx, n_);
  }

  template <class List>
  VectorXd operating(const char* key, const char* list_name, const std::vector<double>& given, const List& list,
                     Index size) {
    const std::string path = std::string("model.operating_point.") + key;
    VectorXd result = given.empty() ? VectorXd(VectorXd::Zero(size)) : vector(path, given, size);
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (!list[i].nominal) continue;
      const double nominal = *list[i].nominal;
      double& value = result(static_cast<Index>(i));
      if (given.empty()) {
        value = nominal;
      } else if (std::abs(nominal - value) > kAgreement * std::max(std::abs(nominal), std::abs(value))) {
        fault(indexed(list_name, i, "nominal"),
              print(nominal) + " is not " + path.substr(6) + "[" + std::to_string(i) + "], " + print(value),
              "one of the two, or equal values");
      }
    }
    return result;
  }

  void take_operating_point() {
    const auto& point = in_.operating_point;
    out_.x_op = point.x.empty() ? VectorXd(VectorXd::Zero(n_)) : vector("model.operating_point.x", point.x, n_);
    out_.u_op = operating("u", "inputs", point.u, in_.inputs, m_);
    out_.y_op = operating("y", "outputs", point.y, in_.outputs, p_);
  }

  void linearise() {
    out_.dynamics = make_dynamics(in_);
    const Dynamics& dynamics = *out_.dynamics;
    const auto& point = in_.operating_point;
    out_.u_op = operating("u", "inputs", point.u, in_.inputs, m_);
    out_.x_op = VectorXd::Zero(n_);
    out_.y_op = VectorXd::Zero(p_);
    out_.A = MatrixXd::Zero(n_, n_);
    out_.B = MatrixXd::Zero(n_, m_);
    out_.C = MatrixXd::Zero(p_, n_);
    out_.D = MatrixXd::Zero(p_, m_);
    out_.d = VectorXd::Zero(n_);
    if (!point.x.empty()) {
      out_.x_op = vector("model.operating_point.x", point.x, n_);
    } else if (const auto rest = equilibrium(dynamics, out_.u_op, first_guess())) {
      out_.x_op = *rest;
    } else if (!dynamics.linear()) {
      shape_fault("model.operating_point.x", "missing, and no state is found where the equations come to rest",
                  "operating_point.x, or nominal inputs at which the machine settles");
    }
    if (shapes_are_wrong_) return;
    dynamics.evaluate(out_.x_op, out_.u_op, out_.d, out_.A, out_.B);
    dynamics.observe(out_.x_op, out_.u_op, out_.y_op, out_.C, out_.D);
    if (!out_.A.allFinite() || !out_.B.allFinite() || !out_.d.allFinite() || !out_.y_op.allFinite() ||
        !out_.C.allFinite() || !out_.D.allFinite()) {
      shape_fault("model.parameters", "lead to numbers that are not finite at the operating point",
                  "parameters of a machine that can be built");
    }
  }

  // A state that is given, else one in the middle of its range or near what its limit allows.
  [[nodiscard]] VectorXd first_guess() const {
    VectorXd guess(n_);
    for (Index i = 0; i < n_; ++i) {
      const StateSettings& state = in_.states[static_cast<std::size_t>(i)];
      const double least = state.min.value_or(0.0);
      guess(i) = state.initial.value_or(state.max ? 0.5 * (least + *state.max) : least + 1.0);
    }
    return guess;
  }

  // Variance of one sample by its own data sheet: noise and rounding to the resolution; NaN where nothing is said.
  [[nodiscard]] double sensor_variance(std::size_t i) const {
    const auto& output = in_.outputs[i];
    if (!output.noise_std && !output.resolution) return kNaN;
    const double noise = output.noise_std.value_or(0.0);
    const double resolution = output.resolution.value_or(0.0);
    return noise * noise + resolution * resolution / 12.0;
  }

  bool check_covariance(const std::string& path, const MatrixXd& matrix, bool definite) {
    if (asymmetry(matrix) > 1e-9) {
      fault(path, "is not symmetric", "a symmetric matrix");
      return false;
    }
    const double least = least_scaled_eigenvalue(matrix);
    if (definite && !(least > kPdTolerance)) {
      fault(path, "is not positive definite (least eigenvalue of its correlation matrix " + print(least) + ")",
            "a positive definite matrix");
      return false;
    }
    if (!(least >= kPsdTolerance)) {
      fault(path, "is not positive semidefinite (least eigenvalue of its correlation matrix " + print(least) + ")",
            "a positive semidefinite matrix");
      return false;
    }
    return true;
  }

  bool take_R() {
    const auto& noise = in_.noise;
    if (noise.R) {
      out_.R = matrix("model.noise.R", *noise.R, p_, p_);
      if (shapes_are_wrong_) return false;
      for (std::size_t i = 0; i < in_.outputs.size(); ++i) {
        if (!in_.outputs[i].noise_std) continue;  // a resolution alone does not say the whole variance
        const double given = out_.R(static_cast<Index>(i), static_cast<Index>(i));
        const double own = sensor_variance(i);
        if (std::abs(given - own) > kAgreement * std::max(std::abs(given), own)) {
          const std::string element = "[" + std::to_string(i) + "][" + std::to_string(i) + "]";
          fault(indexed("outputs", i, "noise_std"),
                "noise_std² + resolution²/12 = " + print(own) + " is not noise.R" + element + ", " + print(given),
                "one of the two, or equal values");
        }
      }
      return check_covariance("model.noise.R", out_.R, true);
    }
    out_.R = MatrixXd::Zero(p_, p_);
    bool complete = true;
    for (std::size_t i = 0; i < in_.outputs.size(); ++i) {
      const double variance = sensor_variance(i);
      if (!(variance > 0.0)) {
        fault(indexed("outputs", i, "noise_std"), "no measurement noise: neither noise.R nor a positive noise_std",
              "noise_std > 0, resolution > 0 or noise.R");
        complete = false;
      }
      out_.R(static_cast<Index>(i), static_cast<Index>(i)) = variance;
    }
    return complete;
  }

  void take_noise() {
    const auto& noise = in_.noise;
    if (continuous_) {
      const char* accepted = "Q (a spectral density) and R";
      if (noise.S) fault("model.noise.S", "given for a continuous model", accepted);
      if (noise.K) fault("model.noise.K", "given for a continuous model", accepted);
      if (noise.Ry) fault("model.noise.Ry", "given for a continuous model", accepted);
      if (noise.S || noise.K || noise.Ry) return;
    }
    if (noise.K.has_value() != noise.Ry.has_value()) {
      fault(noise.K ? "model.noise.K" : "model.noise.Ry", noise.K ? "given without Ry" : "given without K",
            "K and Ry together");
      return;
    }
    MatrixXd K, Ry;
    if (noise.K) {
      K = matrix("model.noise.K", *noise.K, n_, p_);
      Ry = matrix("model.noise.Ry", *noise.Ry, p_, p_);
      if (shapes_are_wrong_ || !check_covariance("model.noise.Ry", Ry, true)) return;
      const double radius = spectral_radius(out_.A - K * out_.C);
      if (!(radius < 1.0)) {
        fault("model.noise.K", "A − K C is not stable: its spectral radius is " + print(radius),
              "a predictor gain with spectral radius of A − K C below 1");
        return;
      }
      if (!noise.Q && !noise.R && !noise.S) {
        if (!in_.augment.empty()) {
          fault("model.augment[0]", "K and Ry alone do not say how well the states are known",
                "Q, R and S, which may stand beside K and Ry");
          return;
        }
        out_.innovations_form_only = true;
        out_.R = Ry;
        out_.S = K * Ry;
        out_.Q = K * Ry * K.transpose();
        return;
      }
    }
    if (!noise.Q) {
      fault("model.noise.Q", "no process noise", continuous_ ? "Q" : "Q, or K and Ry without Q, R and S");
      return;
    }
    out_.Q = matrix("model.noise.Q", *noise.Q, n_, n_);
    out_.S = noise.S ? matrix("model.noise.S", *noise.S, n_, p_) : MatrixXd(MatrixXd::Zero(n_, p_));
    const bool R_is_good = take_R();
    if (shapes_are_wrong_) return;
    const bool Q_is_good = check_covariance("model.noise.Q", out_.Q, false);
    if (!Q_is_good || !R_is_good) return;
    if (noise.S && !check_covariance("model.noise.S", joint_covariance(out_.Q, out_.R, out_.S), false)) {
      issues_.back().what = "[Q S; Sᵀ R] " + issues_.back().what;
      issues_.back().accepted = "an S that Q and R allow";
      return;
    }
    if (continuous_) {
      augment(out_, in_.augment, true);
      if (out_.dynamics) out_.W = out_.Q;
      Discretised discrete = discretise(out_.A, out_.B, out_.Q, out_.d, period_s_);
      take_parts_of_steps(discrete.B);
      if (in_.discretization == Discretization::foh) take_ramps(discrete);
      out_.A = std::move(discrete.A);
      out_.B = std::move(discrete.B);
      out_.Q = std::move(discrete.Q);
      out_.d = std::move(discrete.d);
      if (!out_.A.allFinite() || !out_.B.allFinite() || !out_.Q.allFinite() || !out_.d.allFinite()) {
        fault("model.A", "grows beyond all numbers within one period of " + print(period_s_) + " s",
              "a shorter period");
      }
      return;
    }
    if (noise.K) check_both_forms(K, Ry);
    augment(out_, in_.augment, false);
  }

  void take_dead_times() {
    for (std::size_t j = 0; j < dead_times_s_.size(); ++j) {
      const double steps = std::floor(dead_times_s_[j] / period_s_ + kWholeStep);
      const bool split = dead_times_s_[j] - steps * period_s_ > kWholeStep * period_s_;
      out_.dead_times.push_back({static_cast<int>(steps), split});
      if (split && !(continuous_ && linear(in_) && in_.discretization == Discretization::zoh)) {
        fault("model.inputs[" + std::to_string(j) + "]",
              "a dead time of " + print(dead_times_s_[j]) + " s is no whole number of steps",
              "a multiple of the period, or a continuous model with linear equations and zoh");
      }
    }
  }

  // The inputs run linearly between the ticks; `discrete` is for held ones.
  void take_ramps(Discretised& discrete) {
    FirstOrderHold hold = first_order_hold(out_.A, out_.B, period_s_, discrete);
    discrete.B = std::move(hold.B);
    out_.D_instant = out_.D;
    out_.D += out_.C * hold.offset;
    out_.hold_offset = std::move(hold.offset);
  }

  // What of B, which is `whole`, belongs to the value of one step earlier: the input changes within the step.
  void take_parts_of_steps(const MatrixXd& whole) {
    for (std::size_t j = 0; j < out_.dead_times.size(); ++j) {
      if (!out_.dead_times[j].split) continue;
      const Index n = out_.n_x();
      if (out_.B_late.size() == 0) out_.B_late = MatrixXd::Zero(n, m_);
      const double rest = dead_times_s_[j] - out_.dead_times[j].steps * period_s_;
      const auto column = static_cast<Index>(j);
      const MatrixXd early =
          discretise(out_.A, out_.B.col(column), MatrixXd::Zero(n, n), VectorXd::Zero(n), period_s_ - rest).B;
      out_.B_late.col(column) = whole.col(column) - early;
    }
  }

  void check_both_forms(const MatrixXd& K, const MatrixXd& Ry) {
    const base::Result<SteadyState> steady = steady_state(out_);
    if (!steady) {
      fault("model.noise.Q", "Q, R and S have no steady state to compare with K and Ry: " + steady.error().message(),
            "K and Ry alone, or Q, R and S that lead to them");
      return;
    }
    if (!agree(steady.value().K, K, kAgreement)) {
      fault("model.noise.K", "is not the steady predictor gain of Q, R and S", "one of the two, or equal to 1e-6");
    }
    if (!agree(steady.value().Sigma, Ry, kAgreement)) {
      fault("model.noise.Ry", "is not the steady innovation covariance of Q, R and S",
            "one of the two, or equal to 1e-6");
    }
  }

  void take_initial() {
    std::size_t given = 0;
    std::size_t std_given = 0;
    for (std::size_t i = 0; i < in_.states.size(); ++i) {
      const auto& state = in_.states[i];
      given += state.initial.has_value();
      std_given += state.initial_std.has_value();
      if (state.initial_std && !(*state.initial_std >= 0.0)) {
        fault(indexed("states", i, "initial_std"), print(*state.initial_std) + " is negative", "0 or more");
      }
    }
    if (given != 0 && given != in_.states.size()) {
      for (std::size_t i = 0; i < in_.states.size(); ++i) {
        if (!in_.states[i].initial) {
          fault(indexed("states", i, "initial"), "missing while other states have one",
                "initial of all states or none");
        }
      }
      return;
    }
    if (!issues_.empty()) return;
    if (given != 0) {
      out_.initial = VectorXd(n_);
      for (Index i = 0; i < n_; ++i) (*out_.initial)(i) = *in_.states[static_cast<std::size_t>(i)].initial;
    }
    if (std_given != 0) take_initial_std(std_given);
  }

  void take_initial_std(std::size_t std_given) {
    VectorXd others = VectorXd::Zero(n_);
    if (std_given != in_.states.size() && !out_.innovations_form_only) {
      const base::Result<SteadyState> steady = steady_state(out_);
      if (!steady) {
        // A lag lacks its own only where a state that it follows does.
        for (std::size_t i = 0; i < written_; ++i) {
          if (in_.states[i].initial_std) continue;
          fault(indexed("states", i, "initial_std"), "missing, and " + steady.error().message(), "initial_std");
        }
        return;
      }
      others = steady.value().P.diagonal().head(n_).cwiseSqrt();
    }
    out_.initial_std = others;
    for (Index i = 0; i < n_; ++i) {
      const auto& given = in_.states[static_cast<std::size_t>(i)].initial_std;
      if (given) (*out_.initial_std)(i) = *given;
    }
  }

  const ModelSettings in_;
  const std::size_t written_;
  double period_s_;
  const std::vector<double> dead_times_s_;
  Index n_, m_, p_;
  bool continuous_;
  bool shapes_are_wrong_ = false;
  StateSpace out_;
  base::Issues issues_;
};

}  // namespace

Built build(const ModelSettings& settings, double period_s, const std::vector<double>& dead_times_s) {
  ModelSettings completed = settings;
  base::Issues issues = complete(completed);
  for (auto& issue : issues) issue.path = "model." + issue.path;
  if (!issues.empty()) return issues;
  const std::size_t written = completed.states.size();
  add_sensor_lags(completed);
  return Builder(std::move(completed), written, period_s, dead_times_s).run();
}

}  // namespace twinkeeper::model
