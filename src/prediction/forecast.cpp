#include "twinkeeper/prediction/forecast.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::prediction {

// Bisection on Φ, which is monotonic: 60 halvings of ±40 reach the last bits.
double normal_quantile(double p) {
  if (!(p > 0.0 && p < 1.0)) std::abort();
  double low = -40.0;
  double high = 40.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * base::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

void forecast(estimation::Twin twin, const InputProfile& profile, std::int64_t steps, double share,
              const std::function<void(const ForecastStep&)>& told) {
  if (!(share > 0.0 && share < 1.0)) std::abort();
  const model::StateSpace& model = twin.model();
  const auto n_x = static_cast<std::size_t>(model.n_x());
  const auto n_u = static_cast<std::size_t>(model.n_u());
  const auto n_y = static_cast<std::size_t>(model.n_y());
  const double z = normal_quantile(0.5 + 0.5 * share);

  std::vector<double> u(n_u);
  signals::Frame frame;
  frame.inputs.resize(n_u);
  frame.outputs.resize(n_y);
  estimation::TwinStep step = twin.make_record();
  ForecastStep out;
  out.u.resize(n_u);
  out.x.resize(n_x);
  out.std.resize(n_x);
  out.x_band.resize(n_x);
  out.y.resize(n_y);
  out.y_std.resize(n_y);
  out.y_band.resize(n_y);
  for (std::int64_t j = 0; j < steps; ++j) {
    std::fill(u.begin(), u.end(), std::numeric_limits<double>::quiet_NaN());
    profile(j, u);
    for (std::size_t i = 0; i < n_u; ++i) {
      frame.inputs[i].value = u[i];
      frame.inputs[i].quality = signals::Quality::good;
      frame.inputs[i].reason = signals::Reason::none;
    }
    frame.step = j;
    twin.step(frame, step);
    out.step = j;
    out.mode = step.mode;
    for (std::size_t i = 0; i < n_u; ++i) out.u[i] = step.inputs[i].value;
    for (std::size_t i = 0; i < n_x; ++i) {
      const model::Limits& limits = model.states[i].limits;
      const double reach = z * step.std[i];
      out.x[i] = step.x[i];
      out.std[i] = step.std[i];
      out.x_band[i] = {std::clamp(step.x[i] - reach, limits.min, limits.max),
                       std::clamp(step.x[i] + reach, limits.min, limits.max)};
    }
    for (std::size_t i = 0; i < n_y; ++i) {
      const estimation::OutputStep& y = step.outputs[i];
      out.y[i] = y.expected;
      out.y_std[i] = y.std;
      out.y_band[i] = {y.expected - z * y.std, y.expected + z * y.std};
    }
    told(out);
  }
}

}  // namespace twinkeeper::prediction
