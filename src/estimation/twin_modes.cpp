#include <algorithm>
#include <limits>

#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::estimation {
namespace {

constexpr std::int64_t kSettledSteps = 100;
constexpr double kSettledShare = 0.99;

}  // namespace

double Twin::spread(const TwinStep& out) {
  if (course_.considering) return filter_.own_spread();
  double sum = 0.0;
  if (!model_.innovations_form_only) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(model_.n_own()); ++i) sum += out.std[i] * out.std[i];
    return sum;
  }
  for (std::size_t i = 0; i < out.outputs.size(); ++i) {
    const double ratio = out.outputs[i].std / usual_.output_std[static_cast<Eigen::Index>(i)];
    sum += ratio * ratio;
  }
  return sum;
}

bool Twin::is_lost(const TwinStep& out) const {
  if (model_.innovations_form_only) {
    for (std::size_t i = 0; i < out.outputs.size(); ++i) {
      if (out.outputs[i].std > output_std_limit_[static_cast<Eigen::Index>(i)]) return true;
    }
    return false;
  }
  for (std::size_t i = 0; i < out.std.size(); ++i) {
    if (out.std[i] > std_limit_[static_cast<Eigen::Index>(i)]) return true;
  }
  return false;
}

Mode Twin::decide_mode(TwinStep& out) {
  const bool lost = is_lost(out);
  if (model_.innovations_form_only) {
    std::fill(out.std.begin(), out.std.end(), std::numeric_limits<double>::quiet_NaN());
  }
  bool any_fed = false;
  bool any_starved = false;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (!rows_[i].mapped) continue;
    (course_.now - course_.rows[i].last_fused > rows_[i].patience ? any_starved : any_fed) = true;
  }
  course_.lost = lost;
  if (lost || !any_fed) {
    await_convergence();
    return lost ? Mode::lost : Mode::predict_only;
  }
  if (!course_.converged) {
    const double now_spread = spread(out);
    if (now_spread < kSettledShare * course_.least_spread) {
      course_.least_spread = now_spread;
      course_.least_spread_step = course_.now;
    }
    course_.converged = now_spread <= 2.0 * usual_.spread || course_.now - course_.least_spread_step >= kSettledSteps;
  }
  if (any_starved) return Mode::degraded;
  return course_.converged ? Mode::tracking : Mode::converging;
}

// After follow(), by which a twin that tracks is to converge again.
void Twin::decide_considering(Mode mode) {
  const bool tracks = mode == Mode::tracking && course_.converged;
  course_.tracked = course_.tracked || tracks;
  course_.considering = !model_.augmented.empty() && course_.tracked && !tracks && mode != Mode::lost;
}

}  // namespace twinkeeper::estimation
