#include "app/report_parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/formatted.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::app {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::size_t kMostPolesListed = 30;
constexpr std::size_t kMostCharts = 36;      // small ones of a kind
constexpr double kTimeConstantsShown = 5.0;  // of a step response
constexpr Index kFewestStepsShown = 20, kMostStepsShown = 20'000;
constexpr Index kPointsOfResponse = 250;

// How many steps until the slowest mode has settled; one that never does counts as little as the others.
Index steps_to_settle(const model::StateSpace& model, const std::vector<model::Pole>& poles) {
  double slowest = 0.0;
  for (const auto& pole : poles) {
    if (std::isfinite(pole.time_constant) && pole.time_constant > 0.0) slowest = std::max(slowest, pole.time_constant);
  }
  Index steps = kFewestStepsShown;
  const double wanted = kTimeConstantsShown * slowest / model.sample_time;
  if (wanted > static_cast<double>(steps)) steps = static_cast<Index>(std::min<double>(wanted, kMostStepsShown));
  int longest = 0;
  for (const auto& dead : model.dead_times) longest = std::max(longest, dead.steps + 1);
  return std::min(steps + longest, kMostStepsShown);
}

// n_y × (steps + 1): what outputs do when input j is one more from step 0 on.
MatrixXd step_response(const model::StateSpace& model, Index j, Index steps) {
  const Index n = model.n_own();
  const MatrixXd A = model.A.topLeftCorner(n, n);
  const MatrixXd C = model.C.leftCols(n);
  VectorXd early = model.B.col(j).head(n);
  VectorXd late = VectorXd::Zero(n);
  const auto at = static_cast<std::size_t>(j);
  const model::DeadTime dead = at < model.dead_times.size() ? model.dead_times[at] : model::DeadTime{};
  if (model.B_late.size() != 0) {
    late = model.B_late.col(j).head(n);
    early -= late;
  }
  VectorXd x = VectorXd::Zero(n);
  MatrixXd out(model.n_y(), steps + 1);
  for (Index k = 0; k <= steps; ++k) {
    const double now = k >= dead.steps ? 1.0 : 0.0;
    const double before = k >= dead.steps + 1 ? 1.0 : 0.0;
    out.col(k) = C * x + model.D.col(j) * (dead.split ? before : now);
    x = (A * x + early * now + late * before).eval();
  }
  return out;
}

std::string ratio_of_units(const std::string& above, const std::string& below) {
  if (above.empty() && below.empty()) return "";
  return (above.empty() ? "1" : above) + (below.empty() ? "" : " per " + below);
}

logs::ReportTable table_of_poles(const std::vector<model::Pole>& poles, const DynamicsUncertainty& uncertainty) {
  logs::ReportTable table;
  table.caption = "Poles, slowest first";
  table.columns = {"Time constant in s", "Period in s", "Damping", "Magnitude", "Pole"};
  std::size_t listed = 0;
  for (const auto& pole : poles) {
    if (pole.imaginary < 0.0 || pole.magnitude < 1e-9) continue;
    const bool pair = pole.imaginary > 0.0;
    const std::size_t place = listed++;
    if (table.rows.size() >= kMostPolesListed) continue;
    logs::ReportCell time{"never settles", logs::Tone::warning};
    if (std::isfinite(pole.time_constant)) {
      time = {base::formatted("%.4g", pole.time_constant), pole.magnitude >= 1.0 ? logs::Tone::bad : logs::Tone::plain};
      if (place < uncertainty.pole_stds.size() && uncertainty.pole_stds[place]) {
        time.text += " ± " + base::formatted("%.2g", *uncertainty.pole_stds[place]);
      }
    }
    std::string damping = "–";
    if (pair) {  // of the continuous mode λ = e^{sT}: −Re s / |s|
      const double real = -base::log(pole.magnitude);
      damping = base::formatted("%.3g", real / base::hypot(real, base::atan2(pole.imaginary, pole.real)));
    }
    std::string place_in_plane = base::formatted("%.5g", pole.real);
    if (pair) place_in_plane += " ± " + base::formatted("%.5g", pole.imaginary) + "i";
    table.rows.push_back({time, std::isfinite(pole.period) ? base::formatted("%.4g", pole.period) : "–", damping,
                          base::formatted("%.6g", pole.magnitude), place_in_plane});
  }
  return table;
}

}  // namespace

std::size_t report_rows_for(std::size_t columns) {
  return std::max(kFewestReportRows, kMostReportCells / std::max<std::size_t>(columns, 1));
}

std::string percent_figure(double value) { return std::isfinite(value) ? base::formatted("%.1f %%", value) : "–"; }

std::string with_unit(const std::string& name, const std::string& unit) {
  return unit.empty() ? name : name + " [" + unit + "]";
}

logs::ReportSection dynamics_section(const model::StateSpace& model, const DynamicsUncertainty& uncertainty) {
  logs::ReportSection section{"dynamics", "Poles and step responses", {}};
  if (model.nonlinear()) {
    section.parts.emplace_back("The model is nonlinear: what follows is its linearisation at the operating point.");
  }
  const auto poles = model::poles(model);
  section.parts.emplace_back(table_of_poles(poles, uncertainty));
  logs::PoleMap map{"Poles and the unit circle", {}};
  for (const auto& pole : poles) map.poles.emplace_back(pole.real, pole.imaginary);
  section.parts.emplace_back(std::move(map));
  if (model.n_u() == 0) {
    section.parts.emplace_back("The model has no inputs, so there is nothing it answers to.");
    return section;
  }
  const Index steps = steps_to_settle(model, poles);
  const Index stride = std::max<Index>(1, steps / kPointsOfResponse);
  const auto gain = model::steady_state_gain(model);
  std::size_t charts = 0;
  for (Index j = 0; j < model.n_u(); ++j) {
    const MatrixXd response = step_response(model, j, steps);
    const auto& input = model.inputs[static_cast<std::size_t>(j)];
    for (Index i = 0; i < model.n_y() && charts < kMostCharts; ++i, ++charts) {
      const auto& output = model.outputs[static_cast<std::size_t>(i)];
      logs::Response chart;
      chart.title = output.name + " after a step of " + input.name;
      chart.unit = ratio_of_units(output.unit, input.unit);
      chart.period = static_cast<double>(stride) * model.sample_time;
      for (Index k = 0; k <= steps; k += stride) chart.values.push_back(response(i, k));
      if (gain) chart.final = (*gain)(i, j);
      if (gain && uncertainty.gain_std.size() > 0) chart.final_std = uncertainty.gain_std(i, j);
      section.parts.emplace_back(std::move(chart));
    }
  }
  if (static_cast<Index>(charts) < model.n_y() * model.n_u()) {
    section.parts.emplace_back("The first " + std::to_string(charts) + " of " +
                               std::to_string(model.n_y() * model.n_u()) + " step responses are shown.");
  }
  return section;
}

std::vector<identification::ResidualTests> residual_tests_of(const identification::Record& record,
                                                             const MatrixXd& errors) {
  identification::Experiments experiments;
  std::vector<MatrixXd> kept;
  const Index n_u = record.u.cols();
  const Index n_y = record.y.cols();
  const auto counts = [&](Index row) { return !errors.row(row).array().isNaN().all(); };
  const auto rows = static_cast<Index>(record.tick.size());
  for (Index begin = 0; begin < rows;) {
    if (!counts(begin)) {
      ++begin;
      continue;
    }
    Index end = begin + 1;
    const auto tick = [&](Index row) { return record.tick[static_cast<std::size_t>(row)]; };
    while (end < rows && counts(end) && tick(end) - tick(end - 1) <= identification::kLongestGap + 1) ++end;
    const Index ticks = static_cast<Index>(tick(end - 1) - tick(begin)) + 1;
    if (ticks >= identification::kShortestExperiment) {
      identification::Experiment one;
      one.u = MatrixXd::Zero(n_u, ticks);
      one.y = MatrixXd::Zero(n_y, ticks);
      MatrixXd of_ticks = MatrixXd::Zero(n_y, ticks);
      VectorXd held = VectorXd::Zero(n_u);
      for (Index row = begin; row < end; ++row) {
        const Index k = static_cast<Index>(tick(row) - tick(begin));
        const Index next = row + 1 < end ? static_cast<Index>(tick(row + 1) - tick(begin)) : ticks;
        for (Index j = 0; j < n_u; ++j) {
          if (!std::isnan(record.u(row, j))) held(j) = record.u(row, j);
        }
        for (Index at = k; at < std::max(next, k + 1); ++at) one.u.col(at) = held;
        for (Index i = 0; i < n_y; ++i) {
          if (!std::isnan(errors(row, i))) of_ticks(i, k) = errors(row, i);
        }
      }
      experiments.push_back(std::move(one));
      kept.push_back(std::move(of_ticks));
    }
    begin = end;
  }
  if (experiments.empty()) return {};
  MatrixXd all(n_y, identification::ticks_in(experiments));
  Index at = 0;
  for (const auto& one : kept) {
    all.middleCols(at, one.cols()) = one;
    at += one.cols();
  }
  return identification::residual_tests(experiments, all);
}

void add_residual_tests(const model::StateSpace& model, const std::vector<identification::ResidualTests>& tests,
                        logs::ReportSection& section) {
  using identification::kResidualLags;
  using logs::Tone;
  if (tests.empty()) {
    section.parts.emplace_back("There is no stretch of rows long enough to test the residuals.");
    return;
  }
  logs::ReportTable table;
  table.caption = "Tests of the residuals";
  table.columns = {"Output", "White", "Portmanteau", "limit 99 %", "Lag 1", "band 99 %"};
  for (const auto& input : model.inputs) table.columns.push_back("Left of " + input.name);
  for (std::size_t i = 0; i < tests.size(); ++i) {
    const auto& one = tests[i];
    if (one.autocorrelation.size() == 0) continue;
    const Tone tone = one.white ? Tone::good : Tone::warning;
    std::vector<logs::ReportCell> row{model.outputs[i].name,
                                      {one.white ? "yes" : "no", tone},
                                      {base::formatted("%.1f", one.portmanteau), tone},
                                      base::formatted("%.1f", one.portmanteau_limit),
                                      base::formatted("%.3f", one.autocorrelation(1)),
                                      "± " + base::formatted("%.3f", one.band)};
    for (const auto& input : one.inputs) {
      const bool clean = !input.left && !input.feedback;
      row.emplace_back(input.left       ? "an answer is missing"
                       : input.feedback ? "it follows the errors"
                                        : "nothing",
                       clean ? Tone::good : Tone::warning);
    }
    table.rows.push_back(std::move(row));
  }
  section.parts.emplace_back(std::move(table));
  section.parts.emplace_back(
      "Of a model that says all there is to say the residuals are white: correlations stay within the dashed 99 % "
      "bands, "
      "but for one lag in a hundred. Correlation with an input at lags from 0 on is an answer to that input that the "
      "model lacks; at lags below 0 the input follows the errors, as under feedback.");
  std::size_t charts = 0;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    const auto& one = tests[i];
    if (one.autocorrelation.size() == 0 || charts >= kMostCharts) continue;
    logs::Correlogram own{model.outputs[i].name + ": autocorrelation", 1, {}, one.band};
    for (Index l = 1; l < one.autocorrelation.size(); ++l) own.values.push_back(one.autocorrelation(l));
    section.parts.emplace_back(std::move(own));
    ++charts;
    for (std::size_t j = 0; j < one.inputs.size() && charts < kMostCharts; ++j, ++charts) {
      const auto& with = one.inputs[j];
      const std::string title = model.outputs[i].name + ": correlation with " + model.inputs[j].name;
      section.parts.emplace_back(
          logs::Correlogram{title, -kResidualLags, {with.correlation.begin(), with.correlation.end()}, with.band});
    }
  }
}

double fit_of(const std::vector<double>& measured, const std::vector<double>& expected, std::size_t begin) {
  double sum = 0.0;
  std::size_t count = 0;
  const auto known = [&](std::size_t k) { return std::isfinite(measured[k]) && std::isfinite(expected[k]); };
  for (std::size_t k = begin; k < measured.size(); ++k) {
    if (!known(k)) continue;
    sum += measured[k];
    ++count;
  }
  double off = 0.0;
  double spread = 0.0;
  const double mean = sum / static_cast<double>(count);
  for (std::size_t k = begin; k < measured.size(); ++k) {
    if (!known(k)) continue;
    off += (measured[k] - expected[k]) * (measured[k] - expected[k]);
    spread += (measured[k] - mean) * (measured[k] - mean);
  }
  if (!(spread > 0.0)) return std::numeric_limits<double>::quiet_NaN();
  return 100.0 * (1.0 - std::sqrt(off / spread));
}

}  // namespace twinkeeper::app
