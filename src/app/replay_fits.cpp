#include "app/replay_fits.hpp"

#include <string>

#include "identification/candidates.hpp"
#include "identification/experiments.hpp"
#include "identification/fit_figures.hpp"
#include "identification/regression.hpp"

namespace twinkeeper::app {

LagsFit fit_of_lags(const identification::Record& record) {
  using namespace identification;  // NOLINT(google-build-using-namespace): the whole function is about it
  const std::vector<std::string> inputs(static_cast<std::size_t>(record.u.cols()));
  const std::vector<std::string> outputs(static_cast<std::size_t>(record.y.cols()));
  const auto cut = cut_into_experiments(record, inputs, outputs);
  if (!cut.ok()) return {};
  const auto& all = cut.value().experiments;
  const Eigen::Index half = ticks_in(all) / 2;
  const Experiments first = slice(all, 0, half);
  const Experiments second = slice(all, half, 2 * half);
  if (first.empty() || second.empty()) return {};
  const Scale scale = scale_of(first);
  const LinearModel model = reference_of_lags(scaled(first, scale), largest_pole(half));
  const Experiments judged = scaled(second, scale);
  const auto list_of = [](const Eigen::VectorXd& fits) { return std::vector<double>(fits.begin(), fits.end()); };
  LagsFit out;
  out.one_step = list_of(predicted(judged, model, 1).fit);
  if (record.u.cols() > 0) out.simulation = list_of(simulated(judged, model).fit);
  return out;
}

}  // namespace twinkeeper::app
