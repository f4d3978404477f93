#include "twinkeeper/estimation/twin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::estimation {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using signals::FrameValue;
using signals::Quality;
using signals::Reason;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRangesAway = 20.0;  // the sum of both distances: ten ranges from the middle
constexpr double kLargest = std::numeric_limits<double>::max();  // a square beyond it is still only a large number
constexpr std::int64_t kLeastPatience = 10;

std::int64_t steps_of(base::Duration duration, base::Duration period) {
  return (duration.count() + period.count() - 1) / period.count();
}

std::vector<Index> indices_of(const std::vector<bool>& mapped) {
  std::vector<Index> result;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    if (mapped[i]) result.push_back(static_cast<Index>(i));
  }
  return result;
}

void check(const model::StateSpace& model, TwinSettings& settings, base::Issues& issues) {
  const auto n_y = static_cast<std::size_t>(model.n_y());
  if (settings.mapped.empty()) settings.mapped.assign(n_y, true);
  if (settings.intervals.empty()) settings.intervals.assign(n_y, settings.period);
  if (settings.mapped.size() != n_y || settings.intervals.size() != n_y) {
    issues.push_back({"outputs", "not one entry per output of the model", std::to_string(n_y) + " outputs"});
  } else if (std::find(settings.mapped.begin(), settings.mapped.end(), true) == settings.mapped.end()) {
    issues.push_back({"outputs", "none of the model's outputs is measured", "a tag for at least one output"});
  }
  if (settings.period.count() <= 0 || std::abs(std::chrono::duration<double>(settings.period).count() -
                                               model.sample_time) > 1e-9 * std::max(1.0, model.sample_time)) {
    issues.push_back({"period", "is not the model's sample time", std::to_string(model.sample_time) + " s"});
  }
  const bool diagonal = model.R.isDiagonal(0.0) && model.S.isZero(0.0);
  if (settings.averages && !diagonal) {
    issues.push_back({"outputs", "a mean of several samples needs measurement noise that is independent of all else",
                      "combine: last, or a model with diagonal R and without S"});
  }
  if (issues.empty()) {  // what all outputs tell apart, those that are measured need not
    for (auto& issue : model::indistinguishable(model, indices_of(settings.mapped))) issues.push_back(std::move(issue));
  }
  if (settings.gate && !(*settings.gate > 0.0 && std::isfinite(*settings.gate))) {
    issues.push_back({"diagnosis.gate", "is not a positive number", "standard deviations above 0, or off"});
  }
}

}  // namespace

std::variant<Twin, base::Issues> Twin::create(model::StateSpace model, TwinSettings settings) {
  base::Issues issues;
  check(model, settings, issues);
  if (!issues.empty()) return issues;

  const base::Result<model::SteadyState> steady = model::steady_state(model, indices_of(settings.mapped));
  Usual usual{VectorXd::Constant(model.n_x(), kInfinity), VectorXd::Constant(model.n_y(), kInfinity), kInfinity};
  VectorXd initial_std = VectorXd::Zero(model.n_x());
  if (steady) {
    const MatrixXd& P = steady.value().P;
    usual.std = steady.value().P_post.diagonal().cwiseMax(0.0).cwiseSqrt();
    usual.output_std = (model.C * P * model.C.transpose() + model.R).diagonal().cwiseSqrt();
    usual.spread = model.innovations_form_only ? static_cast<double>(model.n_y())
                                               : steady.value().P_post.diagonal().head(model.n_own()).sum();
    if (!model.innovations_form_only) initial_std = P.diagonal().cwiseMax(0.0).cwiseSqrt();
  } else if (!model.initial_std) {
    issues.push_back({"model.states",
                      "no initial_std, and no steady state to take it from: " + steady.error().message(),
                      "initial_std of every state, or outputs that show them"});
    return issues;
  }
  if (model.initial_std) initial_std = *model.initial_std;
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    initial_std(model.n_own() + static_cast<Index>(k)) = model.augmented[k].initial_std;
  }
  return Twin(std::move(model), std::move(settings), std::move(usual), std::move(initial_std));
}

Twin::Twin(model::StateSpace model, TwinSettings settings, Usual usual, VectorXd initial_std)
    : model_(std::move(model)),
      settings_(std::move(settings)),
      delay_(model_, settings_.history),
      doubt_delay_(model_, settings_.history),
      filter_(model::with_late_inputs(model_)),
      validity_(model_),
      usual_(std::move(usual)),
      initial_std_(std::move(initial_std)) {
  const auto n_u = static_cast<std::size_t>(model_.n_u());
  const auto n_y = static_cast<std::size_t>(model_.n_y());
  rows_.resize(n_y);
  course_.rows.resize(n_y);
  if (settings_.averages) samples_.assign(n_y, 1);
  for (std::size_t i = 0; i < n_y; ++i) {
    rows_[i].mapped = settings_.mapped[i];
    rows_[i].patience = std::max({kLeastPatience, steps_of(settings_.unfused_limit, settings_.period),
                                  5 * steps_of(settings_.intervals[i], settings_.period)});
  }
  feeds_.resize(n_u);
  for (std::size_t j = 0; j < n_u; ++j) {
    for (std::size_t i = 0; i < n_y; ++i) {
      if (model_.feed_through()(static_cast<Index>(i), static_cast<Index>(j)) != 0.0) feeds_[j].push_back(i);
    }
  }
  u_.assign(n_u, 0.0);
  doubts_.assign(n_u, 0.0);
  drive_.assign(delay_.drive_size(), 0.0);
  late_doubts_ = drive_;
  y_.assign(n_y, 0.0);
  course_.outside = validity_.all_inside();
  course_.held.assign(model_.u_op.data(), model_.u_op.data() + n_u);
  base_.assign(model_.x_op.data(), model_.x_op.data() + model_.n_x());
  good_.assign(n_y, 0);
  used_.assign(n_y, 0);
  blind_.assign(n_y, 0);
  gate_timeout_steps_ = std::max<std::int64_t>(1, steps_of(settings_.gate_timeout, settings_.period));

  std_limit_ = 1000.0 * usual_.std;
  output_std_limit_ = 1000.0 * usual_.output_std;
  const MatrixXd start = model_.C * initial_std_.asDiagonal();
  for (Index i = 0; i < model_.n_x(); ++i) {
    const model::Limits& limits = model_.states[static_cast<std::size_t>(i)].limits;
    if (std::isfinite(limits.min) && std::isfinite(limits.max)) std_limit_(i) = 0.5 * (limits.max - limits.min);
    // A state that is known exactly in the long run says nothing about what is too much.
    if (!(std_limit_(i) > 0.0)) std_limit_(i) = kInfinity;
    std_limit_(i) = std::max(std_limit_(i), 2.0 * initial_std_(i));
  }
  for (Index i = 0; i < model_.n_y(); ++i) {
    output_std_limit_(i) = std::max(output_std_limit_(i), 2.0 * std::sqrt(start.row(i).squaredNorm() + model_.R(i, i)));
  }
  prepare_gate();
  prepare_start();
  if (model_.initial) {
    start_at(*model_.initial, initial_std_);
  } else {
    begin_start();
  }
}

void Twin::start_at(const VectorXd& x, const VectorXd& std) {
  filter_.reset(x - model_.x_op, std);
  filter_.linearise_each_step(true);
  course_.initializing = course_.tracked = course_.considering = false;
  await_convergence();
}

void Twin::hold(std::span<const double> inputs) {
  for (std::size_t j = 0; j < inputs.size(); ++j) {
    if (std::isfinite(inputs[j])) course_.held[j] = inputs[j];
  }
}

void Twin::begin_anew() {
  delay_.restart();
  doubt_delay_.restart();
  begin_start();
}

void Twin::await_convergence() {
  course_.converged = false;
  course_.least_spread = kInfinity;
  course_.least_spread_step = course_.now;
}

void Twin::remember(Memory& memory) const {
  memory.course = course_;
  filter_.remember(memory.filter);
}

void Twin::recall(const Memory& memory) {
  const auto steps = static_cast<std::size_t>(course_.now - memory.course.now);
  delay_.rewind(steps);
  doubt_delay_.rewind(steps);
  course_ = memory.course;
  filter_.recall(memory.filter);
}

TwinStep Twin::make_record() const {
  return TwinStep(static_cast<std::size_t>(model_.n_x()), static_cast<std::size_t>(model_.n_u()),
                  static_cast<std::size_t>(model_.n_y()));
}

void Twin::step(const signals::Frame& frame, TwinStep& out) {
  out.step = frame.step;
  out.time = frame.time;
  take_inputs(frame, out);
  if (!samples_.empty()) {
    for (std::size_t i = 0; i < samples_.size(); ++i) samples_[i] = frame.outputs[i].samples;
    filter_.average(samples_);
  }
  find_base();
  filter_.consider_augmented(course_.considering);
  filter_.expect(drive_);
  take_outputs(frame, out);
  if (course_.initializing) {
    estimate_start(out);
    out.mode = Mode::initializing;
  } else {
    decide_gate(out);
    if (filter_step(out)) {
      note_fused(out);
      out.mode = decide_mode(out);
      follow();
      decide_considering(out.mode);
    } else {
      roll_back(out);
      out.mode = Mode::lost;
    }
  }
  validity_.judge(frame, course_.outside, out);
  ++course_.now;
  ++course_.counters.steps;
}

void Twin::take_inputs(const signals::Frame& frame, TwinStep& out) {
  std::fill(blind_.begin(), blind_.end(), std::uint8_t{0});
  for (std::size_t j = 0; j < u_.size(); ++j) {
    const FrameValue& in = frame.inputs[j];
    InputStep& told = out.inputs[j];
    told.quality = in.quality;
    told.reason = in.reason;
    told.age = in.age;
    if (std::isfinite(in.value)) {
      course_.held[j] = in.value;
    } else if (in.quality != Quality::bad) {
      told.quality = Quality::bad;
      told.reason = Reason::not_finite;
    }
    const model::Limits& limits = model_.inputs[j].limits;
    const double limited = std::clamp(course_.held[j], limits.min, limits.max);
    if (limited != course_.held[j] && told.quality == Quality::good) {
      told.quality = Quality::uncertain;
      told.reason = Reason::saturated;
    }
    told.value = limited;
    u_[j] = limited - model_.u_op[static_cast<Index>(j)];
    doubts_[j] = told.quality == Quality::bad || in.stand_in ? 1.0 : 0.0;
  }
  delay_.push(u_, drive_);
  doubt_delay_.push(doubts_, late_doubts_);
  for (std::size_t j = 0; j < u_.size(); ++j) {
    if (doubt_delay_.fed(late_doubts_, j) == 0.0) continue;
    for (const std::size_t i : feeds_[j]) blind_[i] = 1;
  }
}

// Of inputs that run linearly: they are known at their tick, and before the first one the filter was given x, not z.
void Twin::find_base() {
  if (!model_.foh()) return;
  const bool given_x = course_.initializing ? course_.start_steps == 0 : course_.now == 0;
  for (std::size_t i = 0; i < base_.size(); ++i) {
    double run = 0.0;
    for (std::size_t j = 0; j < drive_.size(); ++j) {
      run += model_.hold_offset(static_cast<Index>(i), static_cast<Index>(j)) * drive_[j];
    }
    base_[i] = model_.x_op[static_cast<Index>(i)] + run;
    if (given_x) filter_.shift_prior(i, -run);
  }
}

// Fills what is known before any gate: the measurement, ŷ and ν, and the good rows W.
void Twin::take_outputs(const signals::Frame& frame, TwinStep& out) {
  const std::span<const double> expected = filter_.expected();
  const std::span<const double> variance = filter_.innovation_variance();
  for (std::size_t i = 0; i < y_.size(); ++i) {
    const FrameValue& in = frame.outputs[i];
    OutputStep& told = out.outputs[i];
    const double offset = model_.y_op[static_cast<Index>(i)];
    told.measured = in.value;
    told.quality = in.quality;
    told.reason = in.reason;
    told.age = in.age;
    told.fresh = in.fresh;
    told.fused = false;
    told.test_ratio = kNaN;
    if (!std::isfinite(in.value)) {
      told.measured = kNaN;
      if (in.quality != Quality::bad) {
        told.quality = Quality::bad;
        told.reason = Reason::not_finite;
      }
    }
    const bool usable = in.fresh && told.quality != Quality::bad && rows_[i].mapped;
    good_[i] = usable && blind_[i] == 0;
    y_[i] = usable ? in.value - offset : 0.0;
    if (course_.initializing) {
      told.expected = told.innovation = told.std = kNaN;
      continue;
    }
    told.expected = expected[i] + offset;
    told.innovation = usable ? y_[i] - expected[i] : kNaN;
    told.std = std::sqrt(variance[i]);
  }
}

// False if any number came out that is not finite; the filter then still holds x(k|k−1).
bool Twin::filter_step(TwinStep& out) {
  out.nis = filter_.fuse(y_, good_, used_);
  if (out.nis > kLargest) out.nis = kLargest;
  filter_.standard_deviations(out.std);
  double probe = 0.0;
  bool senseless = false;  // never of a state that is open on a side: then infinity is compared with infinity
  for (std::size_t i = 0; i < out.x.size(); ++i) {
    const double value = filter_.x_post()[i];
    const double offset = base_[i];
    const model::Limits& limits = model_.states[i].limits;
    const double absolute = value + offset;
    const double limited = absolute < limits.min ? limits.min : absolute > limits.max ? limits.max : absolute;
    if (limited != absolute) filter_.project(i, limited - offset);
    out.x[i] = limited;
    probe += value * 0.0 + out.std[i] * 0.0;
    senseless = senseless || std::abs(absolute - limits.min) + std::abs(absolute - limits.max) >
                                 kRangesAway * (limits.max - limits.min);
  }
  if (!(probe == 0.0) || senseless) return false;
  return filter_.predict(drive_);
}

void Twin::roll_back(TwinStep& out) {
  ++course_.counters.rolled_back_steps;
  filter_.expect(drive_);
  filter_.standard_deviations(out.std);
  for (std::size_t i = 0; i < out.x.size(); ++i) {
    out.x[i] = filter_.x_prior()[i] + base_[i];
    if (model_.innovations_form_only) out.std[i] = kNaN;
  }
  for (OutputStep& told : out.outputs) {
    told.fused = false;
    for (double* number : {&told.expected, &told.innovation, &told.test_ratio}) {
      if (!std::isfinite(*number)) *number = kNaN;
    }
  }
  if (!std::isfinite(out.nis)) {
    out.nis = kNaN;
    out.nis_dof = 0;
  }
  begin_start();
}

void Twin::note_fused(TwinStep& out) {
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (used_[i] == 0) continue;
    out.outputs[i].fused = true;
    course_.rows[i].last_fused = course_.now;
  }
}

}  // namespace twinkeeper::estimation
