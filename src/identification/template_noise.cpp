#include "identification/template_noise.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "identification/bounded_least_squares.hpp"
#include "identification/template_run.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using model::ModelSettings;

constexpr int kStepsOfNoise = 30;

void put_noise(ModelSettings& settings, const VectorXd& q, const VectorXd& r) {
  settings.noise = {};
  model::Rows& Q = settings.noise.Q.emplace();
  for (Index i = 0; i < q.size(); ++i) {
    Q.emplace_back(static_cast<std::size_t>(q.size()), 0.0);
    Q.back()[static_cast<std::size_t>(i)] = q(i);
  }
  for (Index i = 0; i < r.size(); ++i) {
    auto& output = settings.outputs[static_cast<std::size_t>(i)];
    const double resolution = output.resolution.value_or(0.0);
    output.noise_std = std::sqrt(std::max(r(i) - resolution * resolution / 12.0, 1e-3 * r(i)));
  }
}

// e^ℓ L⁻¹ν, and the mean square of L⁻¹ν.
struct Likelihood {
  VectorXd residuals;
  double mean_square = 0.0;
};

std::optional<Likelihood> likelihood_of(const ModelSettings& settings, const Experiments& experiments,
                                        const MatrixXd& x0, double sample_time) {
  const auto model = template_model(settings, sample_time);
  if (!model) return std::nullopt;
  const Index p = model->n_y();
  Likelihood out;
  out.residuals = VectorXd::Zero(ticks_in(experiments) * p);
  double logs = 0.0;
  double count = 0.0;
  Index at = 0;
  for (std::size_t e = 0; e < experiments.size(); ++e) {
    const Innovations run = filter(*model, experiments[e], x0.col(static_cast<Index>(e)));
    for (Index k = 0; k < experiments[e].count(); ++k) {
      for (Index i = 0; i < p; ++i, ++at) {
        if (!run.used(i, k)) continue;
        out.residuals(at) = run.whitened(i, k);
        logs += run.logs(i, k);
        count += 1.0;
      }
    }
  }
  if (count < static_cast<double>(10 * (model->n_x() + p))) return std::nullopt;
  out.mean_square = out.residuals.squaredNorm() / count;
  out.residuals *= base::exp(logs / count);
  return out;
}

// How far each state goes in the simulation.
VectorXd spread_of(const ModelSettings& settings, const Experiments& experiments, const MatrixXd& x0,
                   double sample_time) {
  const auto model = template_model(settings, sample_time);
  TemplateRun run(*model);
  VectorXd out = VectorXd::Constant(x0.rows(), 1e-9);
  for (std::size_t e = 0; e < experiments.size(); ++e) {
    MatrixXd states;
    (void)run.simulate(experiments[e], x0.col(static_cast<Index>(e)), &states);
    const VectorXd size = states.rowwise().maxCoeff() - states.rowwise().minCoeff();
    if (size.allFinite()) out = out.cwiseMax(size);
  }
  return out;
}

}  // namespace

void fit_template_noise(ModelSettings& settings, const Experiments& experiments, const MatrixXd& x0,
                        const VectorXd& rmse, double sample_time) {
  const Index n = x0.rows();
  const Index p = rmse.size();
  const VectorXd spread = spread_of(settings, experiments, x0, sample_time);
  std::vector<FreeParameter> free;
  for (Index i = 0; i < n; ++i) {
    const double full = spread(i) * spread(i) / sample_time;
    free.push_back({"q", 1e-5 * full, 1e-13 * full, full, true, 1.0});
  }
  for (Index i = 0; i < p; ++i) {  // the first is the common factor, set afterwards
    const double r = std::max(rmse(i) * rmse(i) / 9.0, 1e-18);
    free.push_back({"r", r, i == 0 ? r : 1e-4 * r, i == 0 ? r : 1e4 * r, true, 1.0});
  }
  const auto with_noise = [&](const VectorXd& theta) {
    ModelSettings out = settings;
    put_noise(out, theta.head(n), theta.tail(p));
    return out;
  };
  const Residuals residuals = [&](const VectorXd& theta, const MovedFrom*) -> std::optional<VectorXd> {
    auto found = likelihood_of(with_noise(theta), experiments, x0, sample_time);
    if (!found) return std::nullopt;
    return std::move(found->residuals);
  };
  LeastSquaresSettings how;
  how.steps = kStepsOfNoise;
  how.converged = 1e-5;
  const auto found = bounded_least_squares(free, residuals, how);
  if (!found) return;
  const auto last = likelihood_of(with_noise(found->theta), experiments, x0, sample_time);
  settings = with_noise(last->mean_square * found->theta);
}

}  // namespace twinkeeper::identification
