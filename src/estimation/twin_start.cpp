// The start of a twin whose model does not say where: its own filter runs over the window, ungated, from a prior that
// says practically nothing. That is least squares over the window with the errors' true covariance, process noise
// included, and P is the covariance of the estimate, with any rows missing, at the cost of ordinary steps. That of a
// nonlinear model runs on the linearisation at the operating point: a state that is not known is no place to linearise.
#include <algorithm>
#include <cmath>
#include <limits>

#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::estimation {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double kNotYet = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLeastSteps = 10;

// The prior's standard deviation over the best that the window can give. What the prior adds to an estimate is below
// deviation / kIgnorance² of what the data say, and the square root keeps nine digits of P.
constexpr double kIgnorance = 1e7;

// Below this share of what its limit would tell of a state the outputs are silent about it, but for rounding.
constexpr double kSilence = 1e-6;

// Per state: the root of the information on x(0) in a window with nothing missing, were all else known.
VectorXd best_information(const model::StateSpace& model, const std::vector<bool>& mapped, std::int64_t steps) {
  VectorXd sum = VectorXd::Zero(model.n_x());
  MatrixXd seen = model.C;
  for (Index i = 0; i < model.n_y(); ++i) {
    seen.row(i) *= mapped[static_cast<std::size_t>(i)] ? 1.0 / std::sqrt(model.R(i, i)) : 0.0;
  }
  for (std::int64_t k = 0; k < steps; ++k) {
    const VectorXd more = seen.colwise().squaredNorm().transpose();
    if (!more.allFinite()) break;  // a model that grows this fast
    sum += more;
    seen = (seen * model.A).eval();
  }
  return sum.cwiseSqrt();
}

}  // namespace

std::int64_t Twin::start_window() const { return std::max<std::int64_t>(2 * model_.n_x(), kLeastSteps); }

void Twin::prepare_start() {
  const VectorXd information = best_information(model_, settings_.mapped, start_window());
  const double best = information.maxCoeff();
  start_ = VectorXd::Zero(model_.n_x());
  start_std_ = VectorXd(model_.n_x());
  for (Index i = 0; i < model_.n_x(); ++i) {
    const double limit = std_limit_(i);
    const bool silent = !(information(i) > 0.0) || information(i) * limit < kSilence;
    // No data will ever narrow a state that no output shows: as wide as it may be without being lost.
    if (silent && std::isfinite(limit)) {
      start_std_(i) = limit;
    } else {
      start_std_(i) = kIgnorance / (silent ? std::max(best, 1.0 / kIgnorance) : information(i));
    }
  }
  for (std::size_t k = 0; k < model_.augmented.size(); ++k) {  // of these something is known
    const Index i = model_.n_own() + static_cast<Index>(k);
    start_(i) = model_.augmented[k].initial - model_.x_op(i);
    start_std_(i) = model_.augmented[k].initial_std;
  }
  usual_start_ = model_.initial ? *model_.initial : VectorXd(model_.x_op + start_);
  usual_start_std_ = model_.initial ? initial_std_ : start_std_;
  if (model_.initial) return;
  for (Index i = 0; i < model_.n_own(); ++i) {
    if (std::isfinite(std_limit_(i))) usual_start_std_(i) = std::min(start_std_(i), 0.5 * std_limit_(i));
  }
}

void Twin::begin_start() {
  course_.initializing = true;
  course_.start_steps = 0;
  course_.start_values = 0;
  course_.lost = course_.tracked = course_.considering = false;
  for (RowMemory& row : course_.rows) {
    if (row.verdict != Verdict::isolated) end_spell(row);
  }
  filter_.linearise_each_step(false);
  filter_.reset(start_, start_std_);
}

void Twin::limit_states() {
  for (std::size_t i = 0; i < model_.states.size(); ++i) {
    const double offset = base_[i];
    const model::Limits& limits = model_.states[i].limits;
    const double absolute = filter_.x_post()[i] + offset;
    if (absolute < limits.min) filter_.project(i, limits.min - offset);
    if (absolute > limits.max) filter_.project(i, limits.max - offset);
  }
}

void Twin::estimate_start(TwinStep& out) {
  std::fill(out.x.begin(), out.x.end(), kNotYet);
  std::fill(out.std.begin(), out.std.end(), kNotYet);
  out.nis = kNotYet;
  out.nis_dof = 0;
  bool others = false;  // who are heard from time to time, beside those at fault
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const RowMemory& row = course_.rows[i];
    if (!rows_[i].mapped || row.verdict == Verdict::isolated) continue;
    others = others || good_[i] != 0 || course_.now - row.last_fused <= rows_[i].patience;
  }
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    RowMemory& row = course_.rows[i];
    used_[i] = good_[i] != 0 && (row.verdict != Verdict::isolated || !others);
    if (used_[i] == 0) continue;
    end_spell(row);  // a sensor that is believed for lack of others
    row.last_fused = course_.now;
    ++course_.start_values;
  }
  ++course_.start_steps;
  filter_.fuse(y_, used_, used_);
  const bool over = course_.start_steps >= start_window() && course_.start_values >= model_.n_x();
  if (over && model_.nonlinear()) {
    limit_states();  // where the equations may be relied on
    filter_.linearise_each_step(true);
  }
  if (!filter_.predict(drive_)) {
    begin_start();
  } else if (over) {
    course_.initializing = false;
    await_convergence();
  }
}

}  // namespace twinkeeper::estimation
