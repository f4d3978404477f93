// A discrete-time linear model around an operating point, ready for a fixed-step filter.
//
//   δx(k+1) = A δx(k) + B δu(k) + d + w(k)        δx = x − x_op,  δu = u − u_op,  δy = y − y_op
//   δy(k)   = C δx(k) + D δu(k) + v(k)            cov[w; v] = [Q S; Sᵀ R]
//
//   symbol  shape      unit                       meaning
//   A       n_x × n_x  –                          transition over one sample time
//   B       n_x × n_u  state / input              input held over the step (zoh; for foh see hold.hpp)
//   C, D    n_y × …    output / state, / input    observation of the same instant
//   d       n_x        state                      drift of a point that is no equilibrium (∫₀^Ts e^{As} dx ds), else 0
//   Q R S   …          squares of the units       covariances of one step and of one sample
//   K, Ry   …          …                          innovations form as given (predictor gain, innovation covariance);
//                                                 with them alone Q = K Ry Kᵀ, S = K Ry, R = Ry
//
// A model of a template has its equations beside it. Those of a linear one are the matrices; of a nonlinear one A … d
// are the linearisation at the operating point: what the steady state, checks and the start are computed with, while a
// filter linearises anew at each step.
//
//   symbol  shape      unit        meaning
//   W       n_x × n_x  state² / s  spectral density of the process noise, of templates only
//
// Augmented states (augmentation.hpp) stand behind those of the machine itself.
//
// build() returns either the model or every issue found, each with the path of the key it concerns.
// Thread rule: plain values. Allocation: at build time only.
// Source: Van Loan (1978) for the discretised noise, in the doubling form that survives stiff A.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/model/augmentation.hpp"
#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::model {

struct Limits {
  double min;  // −infinity where open
  double max;  // +infinity where open
};

struct Signal {  // one state, input or output
  std::string name;
  std::string unit;
  Limits limits;
  // Of an input or output: where the model is meant to hold.
  Limits valid = {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
};

struct DeadTime {
  int steps = 0;       // whole ones
  bool split = false;  // and a part of one
};

struct StateSpace {
  std::string name;
  int version = 1;
  std::string hash;
  double sample_time = 0.0;  // s
  std::vector<Signal> states, inputs, outputs;
  Eigen::MatrixXd A, B, C, D, Q, R, S;
  Eigen::VectorXd d;
  Eigen::VectorXd x_op, u_op, y_op;
  bool innovations_form_only = false;          // K and Ry without Q, R: the states have no physical standard deviation
  std::optional<Eigen::VectorXd> initial;      // absolute; absent: to be estimated
  std::optional<Eigen::VectorXd> initial_std;  // absent: from the steady state
  std::vector<double> noise_std, resolution;   // per output, NaN where not given
  std::shared_ptr<const Dynamics> dynamics;    // of a template, else null
  Eigen::MatrixXd W;                           // of a template, else empty
  std::vector<DeadTime> dead_times;            // per input (input_delay.hpp); empty: none
  Eigen::MatrixXd B_late;                      // what of B acts one step later still; empty: nothing
  Eigen::MatrixXd hold_offset;  // foh: Γ₂, then A … D are those of z = x − Γ₂ δu (hold.hpp); empty: zoh
  Eigen::MatrixXd D_instant;    // foh: D as written, D is that of z; empty: zoh
  std::vector<AugmentedState> augmented;       // of the last states, in their order

  [[nodiscard]] bool nonlinear() const { return dynamics != nullptr && !dynamics->linear(); }
  [[nodiscard]] bool foh() const { return hold_offset.size() != 0; }
  // What of u(k) an output shows at once.
  [[nodiscard]] const Eigen::MatrixXd& feed_through() const { return foh() ? D_instant : D; }

  [[nodiscard]] Eigen::Index n_x() const { return A.rows(); }
  // Of the machine itself.
  [[nodiscard]] Eigen::Index n_own() const { return n_x() - static_cast<Eigen::Index>(augmented.size()); }
  [[nodiscard]] Eigen::Index n_u() const { return B.cols(); }
  [[nodiscard]] Eigen::Index n_y() const { return C.rows(); }
};

using Built = std::variant<StateSpace, base::Issues>;

// The operating point of a template: u from operating_point.u or the inputs' nominal values, else 0; x from
// operating_point.x, else where the equations come to rest at that u (for linear equations without such a point 0); y
// follows. `period_s`: the twin's period. It must equal sample_time of a discrete model; a continuous model is
// discretised with it. Paths in the issues start at "model".
// `dead_times_s`: per input, empty: none; parts of a step need a continuous model with linear equations.
[[nodiscard]] Built build(const ModelSettings& settings, double period_s, const std::vector<double>& dead_times_s = {});

}  // namespace twinkeeper::model
