#include "identification/verdict.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/formatted.hpp"
#include "identification/fit_figures.hpp"
#include "identification/regression.hpp"
#include "identification/trend.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

// The smallest pole radius that the parts of the record and two orders agree on; far beyond 1 if the record grows.
double growing_radius(const std::array<std::reference_wrapper<const Experiments>, 3>& records) {
  double least = std::numeric_limits<double>::infinity();
  for (const Experiments& record : records) {
    for (const Index order : {2, 4}) least = std::min(least, arx(record, order, 1.0).radius);
  }
  return least;
}

// How much of the squared errors two levels instead of one take away, at the best tick for it.
constexpr Index kBeside = 10;  // ticks
struct LevelShift {
  double part = 0.0;
  double size = 0.0;    // scaled
  double sudden = 0.0;  // between the kBeside ticks before and after
  Index tick = 0;
};
LevelShift level_shift(const Eigen::RowVectorXd& errors) {
  LevelShift out;
  const Index count = errors.size();
  const double mean = errors.mean();
  const double squares = (errors.array() - mean).square().sum();
  double sum = 0.0;
  for (Index k = 0; k + 1 < count && squares > 0.0; ++k) {
    sum += errors(k) - mean;
    if (10 * (k + 1) < count || 10 * (k + 1) > 9 * count || k < kBeside || k + 1 + kBeside > count) continue;
    const auto before = static_cast<double>(k + 1);
    const auto after = static_cast<double>(count - k - 1);
    const double part = sum * sum * (1.0 / before + 1.0 / after) / squares;
    if (part <= out.part) continue;
    out = {part, std::abs(sum / before + sum / after), 0.0, k + 1};
  }
  if (out.tick > 0) {
    out.sudden =
        std::abs(errors.segment(out.tick, kBeside).mean() - errors.segment(out.tick - kBeside, kBeside).mean());
  }
  return out;
}

constexpr double kLeastChange = 0.2;  // of an output's standard deviation

// Told once per output, by the model that shows it best: one that was fitted to rows on one side of the shift. By
// output: whether it has one.
std::vector<bool> tell_level_shifts(const std::vector<MatrixXd>& errors, const std::vector<std::string>& outputs,
                                    Identified& out) {
  std::vector<bool> shifts(outputs.size(), false);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    LevelShift most;
    for (const MatrixXd& one : errors) {
      if (!one.allFinite()) continue;
      const LevelShift shift = level_shift(one.row(static_cast<Index>(i)));
      if (shift.part > most.part) most = shift;
    }
    // A drift, too, has two halves that differ, but nowhere a step.
    if (most.part < 0.5 || most.size < kLeastChange || most.sudden < 0.7 * most.size) continue;
    shifts[i] = true;
    out.warnings.push_back(
        "the level of " + outputs[i] +
        base::formatted(" shifts by %.2f of its standard deviation near sample %d, which no input explains: a "
                        "change of the operating point? Use the rows on one side of it",
                        most.size, static_cast<int>(most.tick)));
  }
  return shifts;
}

void tell_trends(const Experiments& record, const std::vector<bool>& shifts, const std::vector<std::string>& outputs,
                 Identified& out) {
  const std::vector<Trend> trends = trends_of(record);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Trend& one = trends[i];
    if (shifts[i] || !one.sure || std::abs(one.change) < kLeastChange) continue;
    out.warnings.push_back(
        outputs[i] +
        base::formatted(
            " drifts %s by %.2f ± %.2f of its standard deviation from the first row to the last, which no input "
            "explains: slow poles and gains follow it; use rows in which it does not, or take the line out of "
            "the column",
            one.change > 0.0 ? "up" : "down", std::abs(one.change), one.std));
  }
}

}  // namespace

void judge_figures(bool has_inputs, Identified& out) {
  const auto count = static_cast<double>(out.outputs.size());
  double mean = 0.0;
  bool simulates = has_inputs;
  bool predicts = true;
  double one_step = 0.0;
  double persistence = 0.0;
  for (const auto& one : out.outputs) {
    mean += one.simulation / count;
    one_step += one.one_step / count;
    persistence += one.persistence_one / count;
    simulates = simulates && one.simulation >= kLeastOutput && one.simulation_worst >= 0.0;
    predicts = predicts && one.one_step > std::max(one.persistence_one, kLeastStep);
  }
  simulates = simulates && mean >= kLeastMean;
  if (!has_inputs) {
    // Of signals that are little but noise about their means nothing can be told ahead, and yet a filter can watch them.
    const bool watches = one_step >= persistence - 1.0;
    out.verdict = !watches ? Verdict::reject : one_step >= kLeastStep ? Verdict::accept : Verdict::prediction_only;
    if (out.verdict != Verdict::accept) {
      out.reasons.push_back(
          base::formatted("one step ahead it reaches %.1f %%, persistence %.1f %%", one_step, persistence));
    }
  } else if (simulates) {
    out.verdict = Verdict::accept;
  } else {
    out.verdict = predicts ? Verdict::prediction_only : Verdict::reject;
    out.reasons.push_back(
        base::formatted("what it was not fitted to it simulates at %.1f %% on the mean of the outputs; "
                        "accepted: %.0f %%, every output %.0f %%, no part below 0 %%",
                        mean, kLeastMean, kLeastOutput));
    if (!predicts) out.reasons.emplace_back("one step ahead it is no better than persistence");
  }
  if (simulates && !predicts) {
    out.warnings.emplace_back(
        "one step ahead an output is told no better than by persistence: use it to simulate, and "
        "beware of its innovations");
  }
}

void judge_replacement(Identified& out) {
  if (!out.replaced) return;
  const auto mean = [](const std::vector<double>& fits) {
    double sum = 0.0;
    for (const double fit : fits) sum += (std::isfinite(fit) ? std::max(fit, -100.0) : -100.0);
    return sum / static_cast<double>(std::max<std::size_t>(fits.size(), 1));
  };
  const auto compare = [&](const std::vector<double>& before, const std::vector<double>& after, const char* what) {
    const double was = mean(before);
    const double is = mean(after);
    if (before.empty() || is >= was - kWithin) return;
    out.verdict = Verdict::reject;
    out.reasons.push_back(base::formatted(
        "on the last 30 %% of the rows %s reaches %.1f %%, the model that it would replace %.1f %%", what, is, was));
  };
  compare(out.replaced->old_simulation, out.replaced->new_simulation, "its simulation");
  compare(out.replaced->old_one_step, out.replaced->new_one_step, "its prediction one step ahead");
}

void judge(const std::array<std::reference_wrapper<const Experiments>, 3>& records, const LinearModel& model,
           const std::vector<MatrixXd>& errors, bool has_inputs, const std::vector<std::string>& outputs,
           Identified& out) {
  const Experiments& whole = records[2];
  const auto ticks = static_cast<double>(ticks_in(whole));
  judge_figures(has_inputs, out);
  if (const double radius = growing_radius(records); base::log(radius) * ticks > 5.0) {
    out.verdict = Verdict::reject;
    out.reasons.push_back(
        base::formatted("the record grows by itself, a pole being at %.4f: an unstable plant; record it "
                        "under the control that holds it, with set-point steps",
                        radius));
  } else if (has_inputs && base::log(model::spectral_radius(model.A)) * ticks > -3.0) {
    out.warnings.emplace_back(
        "its slowest pole is as slow as the record is long: an integrator, or a drift; its time "
        "constant and steady gain are not to be relied on, and a long simulation drifts");
  }
  if (has_inputs) tell_trends(whole, tell_level_shifts(errors, outputs, out), outputs, out);
}

void tell_feedback(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs, Identified& out) {
  for (std::size_t i = 0; i < out.residuals.size(); ++i) {
    for (std::size_t j = 0; j < out.residuals[i].inputs.size(); ++j) {
      if (!out.residuals[i].inputs[j].feedback) continue;
      out.warnings.push_back("input " + inputs[j] + " follows the errors of " + outputs[i] +
                             ": if a controller moves it, use --closed-loop, and rows with steps of the set point");
      return;
    }
  }
}

}  // namespace twinkeeper::identification
