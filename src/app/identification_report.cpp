#include "app/identification_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kCandidatesShown = 5;

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 300> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

std::string percents(double value) {
  if (!std::isfinite(value)) return "-";
  return formatted("%.1f %%", value);
}

std::string time_constant_of(const model::Pole& pole) {
  if (!std::isfinite(pole.time_constant)) return "integrates";
  std::string text = formatted("%.4g s", pole.time_constant);
  if (std::isfinite(pole.period)) text += formatted(" (period %.4g s)", pole.period);
  return text;
}

}  // namespace

const char* name_of(identification::Verdict verdict) {
  switch (verdict) {
    case identification::Verdict::accept: return "accept";
    case identification::Verdict::prediction_only: return "prediction only";
    case identification::Verdict::reject: break;
  }
  return "reject";
}

void print_identification(std::ostream& out, const identification::Identified& found, const model::StateSpace& model,
                          const identification::Cut& cut) {
  out << "record: " << cut.ticks - cut.ticks_lost << " samples of " << cut.ticks << ", every "
      << formatted("%.6g", model.sample_time) << " s, in " << cut.experiments.size()
      << (cut.experiments.size() == 1 ? " experiment" : " experiments");
  if (cut.ticks_lost > 0) out << "; " << cut.ticks_lost << " lost at gaps";
  if (cut.filled > 0.0) out << "; up to " << percents(100.0 * cut.filled) << " of a signal filled";
  out << "\nmodel: " << found.kind << ", order " << found.order << ", " << model.n_x() << " states\n";
  for (std::size_t j = 0; j < found.delays.size(); ++j) {
    if (found.delays[j] == 0) continue;
    out << "dead time: " << model.inputs[j].name
        << formatted(" %.6g s", static_cast<double>(found.delays[j]) * model.sample_time) << " (" << found.delays[j]
        << " steps)\n";
  }
  out << "fit on rows that were not fitted, mean of two folds (persistence in brackets):\n";
  const bool has_inputs = model.n_u() > 0;
  for (std::size_t i = 0; i < found.outputs.size(); ++i) {
    const auto& one = found.outputs[i];
    out << "  " << model.outputs[i].name << ":";
    if (has_inputs) out << " simulation " << percents(one.simulation) << ",";
    out << " 1 step " << percents(one.one_step) << " (" << percents(one.persistence_one) << "), 10 steps "
        << percents(one.ten_steps) << " (" << percents(one.persistence_ten) << ");";
    out << (has_inputs ? " ARX(10,10):" : " VAR(10):");
    if (has_inputs) out << " simulation " << percents(one.arx_simulation) << ",";
    out << " 1 step " << percents(one.arx_one_step) << '\n';
  }
  out << "time constants:";
  std::string separator = " ";
  const auto poles = model::poles(model);
  for (const auto& pole : poles) {
    if (pole.imaginary < 0.0 || pole.magnitude < 1e-9) continue;
    out << separator << time_constant_of(pole);
    separator = ", ";
  }
  out << "\ncandidates, by fit on rows that were not fitted (last 30 %, first 30 %, last half, first half):\n";
  for (std::size_t i = 0; i < std::min(kCandidatesShown, found.candidates.size()); ++i) {
    const auto& one = found.candidates[i];
    out << "  " << one.kind << ", order " << one.order << ": " << percents(one.mean) << " (";
    for (std::size_t f = 0; f < one.folds.size(); ++f) out << (f == 0 ? "" : ", ") << percents(one.folds[f]);
    out << ")\n";
  }
  if (found.correlations.size() > 0) {
    out << "canonical correlations:";
    for (Eigen::Index i = 0; i < std::min<Eigen::Index>(found.correlations.size(), 10); ++i) {
      out << formatted(" %.3f", found.correlations(i));
    }
    out << '\n';
  }
  out << "verdict: " << name_of(found.verdict) << '\n';
  for (const auto& reason : found.reasons) out << "  " << reason << '\n';
}

}  // namespace twinkeeper::app
