// The gate of a twin: which rows are fused, whose rejections are the sensor's fault, and how far P is widened where
// they are not.
#include <algorithm>
#include <cmath>
#include <limits>

#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::estimation {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using signals::Quality;
using signals::Reason;

constexpr double kLargestRatio = std::numeric_limits<double>::max();
constexpr double kDefaultGate = 5.0;  // ratios are told against it when the gate is off
constexpr int kMostWidenings = 10;
constexpr double kMostNoise = 1e12;
constexpr double kLimitShare = 0.9;  // of the standard deviation that makes the twin lost
constexpr double kUsualShare = 4.0;  // Σ_ii below this multiple of its usual value lets a pass mean something

// What process noise makes of the machine's own states in about so many steps, Σ Aʲ Q Aʲᵀ, by doubling them. Augmented
// states take no part: a machine that has moved is no bias of its sensors. A model that grows too fast for numbers is
// given the steps that it bears.
MatrixXd movement(const model::StateSpace& model, std::int64_t steps) {
  const Index n = model.n_own();
  MatrixXd A = model.A.topLeftCorner(n, n);
  MatrixXd sum = model.Q.topLeftCorner(n, n);
  for (std::int64_t done = 1; done < steps; done *= 2) {
    const MatrixXd next = sum + A * sum * A.transpose();
    A = (A * A).eval();
    if (!next.allFinite() || !A.allFinite()) break;
    sum = next;
  }
  MatrixXd out = MatrixXd::Zero(model.n_x(), model.n_x());
  out.topLeftCorner(n, n) = 0.5 * (sum + sum.transpose());
  return out;
}

}  // namespace

void Twin::prepare_gate() {
  const MatrixXd G = movement(model_, gate_timeout_steps_);
  movement_ = G.diagonal();
  filter_.set_movement(G);
}

bool Twin::overdue(const RowMemory& row) const {
  return row.rejected_since >= 0 && course_.now - row.rejected_since >= gate_timeout_steps_;
}

bool Twin::others_agree(const RowMemory& row) const {
  int votes = 0;
  for (const RowMemory& other : course_.rows) {
    if (&other == &row || other.verdict == Verdict::isolated || left_out(other)) continue;
    if (overdue(other)) {
      votes -= other.last_rejected >= row.rejected_since;
    } else {
      votes += other.last_passed >= row.rejected_since;
    }
  }
  return votes > 0;
}

// First all votes, then what follows from them: the order of the outputs decides nothing.
void Twin::hold_votes() {
  bool any = false;
  for (RowMemory& row : course_.rows) {
    if (!overdue(row)) continue;
    any = any || row.verdict != Verdict::isolated;
    row.outvoted = row.verdict == Verdict::none && row.accused && others_agree(row);
  }
  if (!any) course_.widenings = 0;
  for (RowMemory& row : course_.rows) {
    if (!overdue(row) || row.verdict != Verdict::none) continue;
    row.verdict = row.outvoted ? Verdict::isolated : Verdict::followed;
  }
}

// All decisions before the first update: V = W without the rows in a spell of rejections, but with those that are
// followed.
void Twin::decide_gate(TwinStep& out) {
  const double gate = settings_.gate.value_or(kDefaultGate);
  const std::span<const double> variance = filter_.innovation_variance();
  out.nis_dof = 0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (good_[i] == 0) continue;
    ++out.nis_dof;
    RowMemory& row = course_.rows[i];
    OutputStep& told = out.outputs[i];
    told.test_ratio = std::min(told.innovation * told.innovation / (gate * gate * variance[i]), kLargestRatio);
    if (told.test_ratio <= 1.0 || !settings_.gate) {
      row.last_passed = course_.now;
      const double usual = usual_.output_std[static_cast<Index>(i)];
      const bool telling = course_.converged || course_.lost || variance[i] <= kUsualShare * usual * usual;
      if (row.verdict != Verdict::none && !telling) continue;  // with a wide P anything passes
      end_spell(row);
    } else {
      row.last_rejected = course_.now;
      if (row.rejected_since < 0) {
        row.rejected_since = course_.now;
        row.accused = course_.converged;
      }
    }
  }
  hold_votes();
  explaining_factor_ = 0.0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    used_[i] = good_[i];
    const RowMemory& row = course_.rows[i];
    if (left_out(row)) {
      used_[i] = 0;
      continue;
    }
    if (good_[i] == 0 || row.rejected_since < 0) continue;
    OutputStep& told = out.outputs[i];
    const bool followed = row.verdict == Verdict::followed;
    if (followed && told.test_ratio <= 1.0) continue;
    told.reason = Reason::spike;
    if (followed) {
      told.quality = Quality::uncertain;
      const double moved = filter_.movement_variance(i);
      const double factor = std::min(told.innovation * told.innovation / moved, kMostNoise);
      if (moved > 0.0) explaining_factor_ = std::max(explaining_factor_, factor);
    } else {
      told.quality = Quality::bad;
      used_[i] = 0;
      ++course_.counters.gated_rows;
    }
  }
}

// Never so far that the twin would be lost by it.
double Twin::most_widening() const {
  double most = kMostNoise;
  for (Index i = 0; i < model_.n_own(); ++i) {
    const double limit = kLimitShare * std_limit_(i);
    if (!std::isfinite(limit) || !(movement_(i) > 0.0)) continue;
    most = std::min(most, (limit * limit - filter_.prior_variance(static_cast<std::size_t>(i))) / movement_(i));
  }
  return most;
}

// The machine has moved: P is widened by as much of its movement as explains what is measured.
void Twin::follow() {
  if (!(explaining_factor_ > 0.0) || course_.widenings >= kMostWidenings) return;
  const double factor = std::min(explaining_factor_, most_widening());
  if (!(factor > 0.0)) return;
  ++course_.widenings;
  filter_.widen(factor);
  await_convergence();
}

}  // namespace twinkeeper::estimation
