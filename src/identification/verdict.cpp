#include "identification/verdict.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "identification/fit_figures.hpp"
#include "identification/regression.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;

template <class... Values>
std::string words(const char* format, Values... values) {
  std::array<char, 240> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

// The smallest pole radius that the parts of the record and two orders agree on; far beyond 1 if the record grows.
double growing_radius(const std::array<std::reference_wrapper<const Experiments>, 3>& records) {
  double least = std::numeric_limits<double>::infinity();
  for (const Experiments& record : records) {
    for (const Index order : {2, 4}) least = std::min(least, arx(record, order, 1.0).radius);
  }
  return least;
}

// How much of the squared errors two levels instead of one take away, at the best tick for it.
struct LevelShift {
  double part = 0.0;
  double size = 0.0;  // scaled
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
    if (10 * (k + 1) < count || 10 * (k + 1) > 9 * count) continue;
    const auto before = static_cast<double>(k + 1);
    const auto after = static_cast<double>(count - k - 1);
    const double part = sum * sum * (1.0 / before + 1.0 / after) / squares;
    if (part <= out.part) continue;
    out = {part, std::abs(sum / before + sum / after), k + 1};
  }
  return out;
}

}  // namespace

void judge(const std::array<std::reference_wrapper<const Experiments>, 3>& records, const LinearModel& model,
           bool has_inputs, const std::vector<std::string>& outputs, Identified& out) {
  const Experiments& whole = records[2];
  const auto ticks = static_cast<double>(ticks_in(whole));
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
    out.verdict = one_step >= std::max(persistence - 1.0, kLeastStep) ? Verdict::accept : Verdict::reject;
    if (out.verdict == Verdict::reject) {
      out.reasons.push_back(words("one step ahead it reaches %.1f %%, persistence %.1f %%", one_step, persistence));
    }
  } else if (simulates) {
    out.verdict = Verdict::accept;
  } else {
    out.verdict = predicts ? Verdict::prediction_only : Verdict::reject;
    out.reasons.push_back(
        words("what it was not fitted to it simulates at %.1f %% on the mean of the outputs; "
              "accepted: %.0f %%, every output %.0f %%, no part below 0 %%",
              mean, kLeastMean, kLeastOutput));
    if (!predicts) out.reasons.emplace_back("one step ahead it is no better than persistence");
  }
  if (simulates && !predicts) {
    out.warnings.emplace_back(
        "one step ahead an output is told no better than by persistence: use it to simulate, and "
        "beware of its innovations");
  }
  if (const double radius = growing_radius(records); base::log(radius) * ticks > 5.0) {
    out.verdict = Verdict::reject;
    out.reasons.push_back(
        words("the record grows by itself, a pole being at %.4f: an unstable plant; record it "
              "under the control that holds it, with set-point steps",
              radius));
  } else if (has_inputs && base::log(model::spectral_radius(model.A)) * ticks > -3.0) {
    out.warnings.emplace_back(
        "its slowest pole is as slow as the record is long: an integrator, or a drift; its time "
        "constant and steady gain are not to be relied on, and a long simulation drifts");
  }
  if (!has_inputs) return;
  const MatrixXd errors = simulation_errors(whole, model);
  for (Index i = 0; i < errors.rows(); ++i) {
    const LevelShift shift = level_shift(errors.row(i));
    if (shift.part < 0.4 || shift.size < 0.2) continue;
    out.warnings.push_back("the level of " + outputs[static_cast<std::size_t>(i)] +
                           words(" shifts by %.2f of its standard deviation near sample %d, which no input explains: a "
                                 "change of the operating point? Use the rows on one side of it",
                                 shift.size, static_cast<int>(shift.tick)));
  }
}

}  // namespace twinkeeper::identification
