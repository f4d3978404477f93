// What the reports of identify, replay and calibrate have in common: sections about a model and about its errors.
//
// Thread rule: pure functions. Allocates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identification/compare.hpp"
#include "identification/residual_tests.hpp"
#include "logs/report_page.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::app {

inline constexpr std::size_t kMostReportCells = 2'000'000;  // numbers in the plots of a page: some 15 MB
inline constexpr std::size_t kFewestReportRows = 10'000;

// How many rows a page may have with so many columns.
[[nodiscard]] std::size_t report_rows_for(std::size_t columns);

[[nodiscard]] std::string percent_figure(double value);  // "84.2 %"; "–" for what is not finite
[[nodiscard]] std::string with_unit(const std::string& name, const std::string& unit);

// Standard deviations, where they are known.
struct DynamicsUncertainty {
  Eigen::MatrixXd gain_std;                      // n_y × n_u, physical; empty: not known
  std::vector<std::optional<double>> pole_stds;  // s, of the time constants as listed; empty: not known
};
// Poles in a table and in the plane; the answer of each output to a step of one in each input.
[[nodiscard]] logs::ReportSection dynamics_section(const model::StateSpace& model,
                                                   const DynamicsUncertainty& uncertainty = {});

// Errors of one step ahead: whiteness and what inputs still explain. `errors` by row of `record`, NaN: not to be
// counted; what is left over in stretches of fewer than kShortestExperiment ticks does not count either.
[[nodiscard]] std::vector<identification::ResidualTests> residual_tests_of(const identification::Record& record,
                                                                           const Eigen::MatrixXd& errors);
// A table of the tests and their correlograms, for the end of a section.
void add_residual_tests(const model::StateSpace& model, const std::vector<identification::ResidualTests>& tests,
                        logs::ReportSection& section);

// 100 · (1 − |y − ŷ| / |y − mean(y)|) over the rows from `begin` on in which both are known; NaN where nothing is.
[[nodiscard]] double fit_of(const std::vector<double>& measured, const std::vector<double>& expected,
                            std::size_t begin = 0);

}  // namespace twinkeeper::app
