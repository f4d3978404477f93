#include "app/identification_report.hpp"

#include <algorithm>
#include <cmath>

#include "base/formatted.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kCandidatesShown = 5;
constexpr double kChanged = 4.25;  // standard deviations: three of the difference, if the old one is as well known

std::string percents(double value) {
  if (!std::isfinite(value)) return "-";
  return base::formatted("%.1f %%", value);
}

std::string time_constant_of(const model::Pole& pole) {
  if (!std::isfinite(pole.time_constant)) return "integrates";
  std::string text = base::formatted("%.4g s", pole.time_constant);
  if (std::isfinite(pole.period)) text += base::formatted(" (period %.4g s)", pole.period);
  return text;
}

// Without one where nothing was fitted: a drift goes on from its last value.
std::string with_deviation(double value, double std) {
  return std > 0.0 ? base::formatted("%.4g ± %.2g", value, std) : base::formatted("%.4g", value);
}

void print_parameters(std::ostream& out, const identification::Identified& found, const model::StateSpace& model) {
  if (found.parameters.empty()) return;
  out << "parameters, ± standard deviation (start):\n";
  for (const auto& one : found.parameters) {
    out << "  " << one.name << ": ";
    if (one.bound != 0) {
      out << base::formatted("%.4g", one.value) << ", at its " << (one.bound < 0 ? "lower" : "upper") << " bound";
    } else if (!one.identifiable) {
      out << base::formatted("%.4g", one.value) << ", not told by this record";
    } else {
      out << with_deviation(one.value, one.std);
    }
    out << (one.unit.empty() ? "" : " " + one.unit) << base::formatted(" (%.4g)", one.start) << '\n';
  }
  out << "simulation of these rows off by (root mean square):";
  for (Eigen::Index i = 0; i < found.rmse.size(); ++i) {
    const auto& output = model.outputs[static_cast<std::size_t>(i)];
    out << (i == 0 ? " " : ", ") << output.name << base::formatted(" %.4g", found.rmse(i))
        << (output.unit.empty() ? "" : " " + output.unit);
  }
  out << '\n';
}

void print_time_constants(std::ostream& out, const identification::Identified& found, const model::StateSpace& model) {
  out << "time constants:";
  std::string separator = " ";
  if (!found.uncertainty.poles.empty()) {
    for (const auto& pole : found.uncertainty.poles) {
      if (!(pole.time_constant > 1e-9)) continue;
      out << separator
          << with_deviation(pole.time_constant * model.sample_time, pole.time_constant_std * model.sample_time) << " s";
      if (std::isfinite(pole.period)) {
        out << " (period " << with_deviation(pole.period * model.sample_time, pole.period_std * model.sample_time)
            << " s)";
      }
      separator = ", ";
    }
  } else {
    for (const auto& pole : model::poles(model)) {
      if (pole.imaginary < 0.0 || pole.magnitude < 1e-9) continue;
      out << separator << time_constant_of(pole);
      separator = ", ";
    }
  }
  out << '\n';
}

std::string unit_of_gain(const model::Signal& output, const model::Signal& input) {
  if (output.unit.empty() && input.unit.empty()) return "";
  return " " + (output.unit.empty() ? "1" : output.unit) + (input.unit.empty() ? "" : "/" + input.unit);
}

void print_gains(std::ostream& out, const identification::Identified& found, const model::StateSpace& model) {
  const auto& gain = found.uncertainty.gain;
  if (gain.size() == 0) return;
  out << "steady-state gains, ± standard deviation:\n";
  for (Eigen::Index j = 0; j < gain.cols(); ++j) {
    for (Eigen::Index i = 0; i < gain.rows(); ++i) {
      const auto& input = model.inputs[static_cast<std::size_t>(j)];
      const auto& output = model.outputs[static_cast<std::size_t>(i)];
      out << "  " << input.name << " → " << output.name << ": "
          << with_deviation(gain(i, j), found.uncertainty.gain_std(i, j)) << unit_of_gain(output, input) << '\n';
    }
  }
}

void print_residuals(std::ostream& out, const identification::Identified& found, const model::StateSpace& model) {
  if (found.residuals.empty()) return;
  out << "residuals one step ahead, " << identification::kResidualLags << " lags, limits of 1 in 100:\n";
  for (std::size_t i = 0; i < found.residuals.size(); ++i) {
    const auto& one = found.residuals[i];
    out << "  " << model.outputs[i].name << ": " << (one.white ? "white" : "not white")
        << base::formatted(" (Ljung-Box %.1f, limit %.1f", one.portmanteau, one.portmanteau_limit);
    if (one.autocorrelation.size() > 1)
      out << base::formatted("; correlation of neighbours %.2f", one.autocorrelation(1));
    out << ')';
    for (std::size_t j = 0; j < one.inputs.size(); ++j) {
      const auto& with = one.inputs[j];
      const double largest = with.correlation.size() > 0 ? with.correlation.cwiseAbs().maxCoeff() : 0.0;
      out << "; " << model.inputs[j].name << ": ";
      out << (with.left && with.feedback ? "left over, and feedback"
              : with.left                ? "left over"
              : with.feedback            ? "feedback"
                                         : "nothing left");
      out << base::formatted(" (%.3f, band %.3f)", largest, with.band);
    }
    out << '\n';
  }
}

void print_candidates(std::ostream& out, const identification::Identified& found) {
  if (found.candidates.empty()) return;
  out << "candidates, by fit on rows that were not fitted (last 30 %, first 30 %, last half, first half):\n";
  for (std::size_t i = 0; i < std::min(kCandidatesShown, found.candidates.size()); ++i) {
    const auto& one = found.candidates[i];
    out << "  " << one.kind << ", order " << one.order << ": " << percents(one.mean) << " (";
    for (std::size_t f = 0; f < one.folds.size(); ++f) out << (f == 0 ? "" : ", ") << percents(one.folds[f]);
    out << ")\n";
  }
  if (found.correlations.size() > 0) {
    out << "canonical correlations:";
    for (Eigen::Index i = 0; i < std::min<Eigen::Index>(found.correlations.size(), 10); ++i) {
      out << base::formatted(" %.3f", found.correlations(i));
    }
    out << '\n';
  }
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
      << base::formatted("%.6g", model.sample_time) << " s, in " << cut.experiments.size()
      << (cut.experiments.size() == 1 ? " experiment" : " experiments");
  if (cut.ticks_lost > 0) out << "; " << cut.ticks_lost << " lost at gaps";
  if (cut.filled > 0.0) out << "; up to " << percents(100.0 * cut.filled) << " of a signal filled";
  out << "\nmodel: " << found.kind << ", order " << found.order << ", " << model.n_x() << " states\n";
  for (std::size_t j = 0; j < found.delays.size(); ++j) {
    if (found.delays[j] == 0) continue;
    out << "dead time: " << model.inputs[j].name
        << base::formatted(" %.6g s", static_cast<double>(found.delays[j]) * model.sample_time) << " ("
        << found.delays[j] << " steps)\n";
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
  print_parameters(out, found, model);
  print_time_constants(out, found, model);
  print_gains(out, found, model);
  print_residuals(out, found, model);
  print_candidates(out, found);
  out << "verdict: " << name_of(found.verdict) << '\n';
  for (const auto& reason : found.reasons) out << "  " << reason << '\n';
}

void print_changes(std::ostream& out, const identification::Identified& found, const model::StateSpace& model,
                   const model::StateSpace& old) {
  out << "beside version " << old.version << ":\n";
  if (found.replaced) {
    const auto& fits = *found.replaced;
    for (std::size_t i = 0; i < fits.new_one_step.size(); ++i) {
      out << "  " << model.outputs[i].name << " on the last 30 % of the rows:";
      if (i < fits.new_simulation.size()) {
        out << " simulation " << percents(fits.old_simulation[i]) << " → " << percents(fits.new_simulation[i]) << ',';
      }
      out << " 1 step " << percents(fits.old_one_step[i]) << " → " << percents(fits.new_one_step[i]) << '\n';
    }
  }
  std::vector<model::Pole> before;
  for (const auto& pole : model::poles(old)) {
    if (pole.imaginary >= 0.0 && pole.magnitude >= 1e-9) before.push_back(pole);
  }
  const auto& poles = found.uncertainty.poles;
  for (std::size_t i = 0; i < std::min(before.size(), poles.size()); ++i) {
    const double value = poles[i].time_constant * model.sample_time;
    const double std = poles[i].time_constant_std * model.sample_time;
    out << base::formatted("  time constant %.4g s → ", before[i].time_constant) << with_deviation(value, std) << " s"
        << (std::abs(value - before[i].time_constant) > kChanged * std ? ", changed" : "") << '\n';
  }
  const auto gain = model::steady_state_gain(old);
  const auto& now = found.uncertainty.gain;
  if (!gain || gain->rows() != now.rows() || gain->cols() != now.cols()) return;
  for (Eigen::Index j = 0; j < now.cols(); ++j) {
    for (Eigen::Index i = 0; i < now.rows(); ++i) {
      const double std = found.uncertainty.gain_std(i, j);
      out << "  gain " << model.inputs[static_cast<std::size_t>(j)].name << " → "
          << model.outputs[static_cast<std::size_t>(i)].name << base::formatted(": %.4g → ", (*gain)(i, j))
          << with_deviation(now(i, j), std) << (std::abs(now(i, j) - (*gain)(i, j)) > kChanged * std ? ", changed" : "")
          << '\n';
    }
  }
}

}  // namespace twinkeeper::app
