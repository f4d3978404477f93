// Prints every number that the maths makes of some models, bit for bit: matrices, steady state, poles, faults'
// signatures, then steps of a twin with its diagnosis. What two compilers print must be the same text. It uses the
// public headers alone, so it builds in a minute where the executable takes many.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/model/templates.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

constexpr base::Duration kPeriod = 500ms;
constexpr double kPeriodSeconds = 0.5;
constexpr int kSteps = 500;

void number(double value) {
  if (std::isnan(value)) {
    std::fputs(" nan", stdout);  // whose sign and payload mean nothing
  } else {
    std::printf(" %a", value);
  }
}

template <class Numbers>
void line(const std::string& name, const Numbers& numbers) {
  std::fputs(name.c_str(), stdout);
  for (const double value : numbers) number(value);
  std::fputc('\n', stdout);
}

void line(const std::string& name, const Eigen::MatrixXd& matrix) {
  line(name, std::vector<double>(matrix.data(), matrix.data() + matrix.size()));
}

class Noise {  // nearly normal, variance 1, by + − × alone
 public:
  double uniform() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 40) * 0x1p-24;
  }
  double operator()() { return (uniform() + uniform() + uniform() + uniform() - 2.0) * 1.7320508; }

 private:
  std::uint64_t state_ = 1;
};

void print_analysis(const std::string& name, const model::StateSpace& space) {
  line(name + " A", space.A);
  line(name + " B", space.B);
  line(name + " C", space.C);
  line(name + " Q", space.Q);
  line(name + " R", space.R);
  line(name + " d", space.d);
  line(name + " x_op", space.x_op);
  for (const auto& pole : model::poles(space)) {
    line(name + " pole", std::vector{pole.real, pole.imaginary, pole.magnitude, pole.time_constant, pole.period});
  }
  const auto steady = model::steady_state(space);
  if (!steady.ok()) return;
  line(name + " P", steady.value().P);
  line(name + " M", steady.value().M);
  line(name + " K", steady.value().K);
  line(name + " Sigma", steady.value().Sigma);
  std::vector<Eigen::Index> measured;
  for (Eigen::Index i = 0; i < space.n_y(); ++i) measured.push_back(i);
  for (const auto& fault : model::fault_signatures(space, steady.value(), measured)) {
    line(name + " " + fault.name, fault.innovation);
  }
}

void print_steps(const std::string& name, const model::StateSpace& space) {
  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = name;
  setup.period = kPeriod;
  setup.settings.off_delay = 5s;
  for (const auto& input : space.inputs) setup.inputs.push_back({input.name, input.unit, "plc." + input.name});
  for (const auto& output : space.outputs) setup.outputs.push_back({output.name, output.unit, "plc." + output.name});
  estimation::TwinSettings settings;
  settings.period = kPeriod;
  auto created = estimation::Twin::create(space, settings);
  if (!std::holds_alternative<estimation::Twin>(created)) std::exit(1);
  auto& twin = std::get<estimation::Twin>(created);
  diagnosis::TwinDiagnosis diagnosis(setup);
  estimation::ConsistencyMonitor consistency(space.outputs.size());
  estimation::TwinStep step = twin.make_record();
  std::vector<diagnosis::AnomalyEvent> events;

  Noise noise;
  std::vector<double> wander(space.outputs.size(), 0.0);
  signals::Frame frame;
  frame.inputs.resize(space.inputs.size());
  frame.outputs.resize(space.outputs.size());
  for (int k = 0; k < kSteps; ++k) {
    frame.step = k;
    frame.time = base::grid_point(base::Instant{}, kPeriod, k);
    for (std::size_t j = 0; j < frame.inputs.size(); ++j) {
      const double centre = space.u_op(static_cast<Eigen::Index>(j));
      frame.inputs[j] = {centre + (0.01 * std::abs(centre) + 0.01) * noise(), signals::Quality::good,
                         signals::Reason::none, 0s, true};
    }
    for (std::size_t i = 0; i < frame.outputs.size(); ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      wander[i] = 0.97 * wander[i] + 0.3 * noise();
      const double jump = i == 0 && k >= 200 && k < 240 ? 30.0 : 0.0;
      const double drift = i + 1 == frame.outputs.size() && k >= 300 && k < 400 ? 0.2 * (k - 300) : 0.0;
      const double value = space.y_op(row) + std::sqrt(space.R(row, row)) * (wander[i] + noise() + jump + drift);
      const bool fresh = noise.uniform() > 0.1;
      frame.outputs[i] = {value, signals::Quality::good, signals::Reason::none, 0s, fresh};
    }
    twin.step(frame, step);
    consistency.take(step);
    events.clear();
    diagnosis.evaluate(step, events);
    std::vector<double> numbers = step.x;
    numbers.insert(numbers.end(), step.std.begin(), step.std.end());
    for (const auto& row : step.outputs) {
      numbers.insert(numbers.end(), {row.expected, row.innovation, row.std, row.test_ratio, row.fused ? 1.0 : 0.0});
    }
    numbers.push_back(step.nis);
    line(name + " " + std::string(to_string(step.mode)), numbers);
    for (const auto& event : events) {
      line(name + " " + event.id + " " + std::string(to_string(event.event)),
           std::vector{event.statistic.value_or(0.0), event.magnitude.value_or(0.0), event.sigma.value_or(0.0),
                       event.nominal_false_alarms_per_day.value_or(0.0)});
    }
  }
  const auto read = consistency.read();
  line(name + " consistency", std::vector{read.short_window.mean_nis, read.short_window.low, read.short_window.high,
                                          read.long_window.mean_nis, read.autocorrelation});
}

void print(const model::ModelSettings& settings, const std::vector<double>& dead_times = {}) {
  auto built = model::build(settings, kPeriodSeconds, dead_times);
  if (const auto* issues = std::get_if<base::Issues>(&built)) {
    for (const auto& issue : *issues) std::fprintf(stderr, "%s: %s\n", issue.path.c_str(), issue.what.c_str());
    std::exit(1);
  }
  const auto& space = std::get<model::StateSpace>(built);
  print_analysis(settings.name, space);
  print_steps(settings.name, space);
}

// Coupled oscillators in a chain, with friction and full R: large enough for the loops that the processor chooses.
model::ModelSettings chain(std::size_t masses) {
  const std::size_t n = 2 * masses;
  model::ModelSettings settings;
  settings.name = "chain_" + std::to_string(masses);
  settings.time = model::TimeBase::continuous;
  settings.A.assign(n, std::vector<double>(n, 0.0));
  settings.B.assign(n, {0.0});
  settings.B[n - 1] = {1.7};
  settings.noise.Q = model::Rows(n, std::vector<double>(n, 0.0));
  settings.noise.R = model::Rows(masses, std::vector<double>(masses, 1e-6));
  settings.inputs = {{"force", "N", 0.3, -5.0, 5.0}};
  for (std::size_t i = 0; i < masses; ++i) {
    const std::size_t at = 2 * i;
    const std::string label = std::to_string(i);
    settings.states.push_back({"position_" + label, "m", {}, {}, {}, {}});
    settings.states.push_back({"speed_" + label, "m/s", {}, {}, {}, {}});
    settings.outputs.push_back({"position_" + label, "m", {}, {}, {}});
    settings.A[at][at + 1] = 1.0;
    settings.A[at + 1][at] = -40.0 - static_cast<double>(i);
    settings.A[at + 1][at + 1] = -0.5;
    if (i > 0) settings.A[at + 1][at - 2] = 11.0;
    if (i + 1 < masses) settings.A[at + 1][at + 2] = 7.0;
    std::vector<double> row(n, 0.0);
    row[at] = 1.0;
    settings.C.push_back(row);
    (*settings.noise.Q)[at + 1][at + 1] = 1e-3;
    (*settings.noise.R)[i][i] = 1e-5;
  }
  return settings;
}

model::ModelSettings innovations() {
  model::ModelSettings settings;
  settings.name = "innovations";
  settings.sample_time = kPeriodSeconds;
  settings.states = {{"x1", "", {}, {}, {}, {}}, {"x2", "", {}, {}, {}, {}}, {"x3", "", {}, {}, {}, {}}};
  settings.inputs = {{"power", "W", {}, {}, {}}, {"fan", "", {}, {}, {}}};
  settings.outputs = {{"inside", "degC", {}, {}, {}}, {"outside", "degC", {}, {}, {}}};
  settings.A = {{0.93, 0.11, 0.0}, {-0.17, 0.88, 0.02}, {0.0, 0.013, 0.71}};
  settings.B = {{0.031, 0.0}, {0.0, -0.27}, {0.09, 0.01}};
  settings.C = {{1.0, 0.2, 0.0}, {0.0, 0.7, 1.3}};
  settings.noise.K = model::Rows{{0.31, 0.02}, {-0.07, 0.19}, {0.05, 0.11}};
  settings.noise.Ry = model::Rows{{0.041, 0.007}, {0.007, 0.093}};
  settings.operating_point = {{0.0, 0.0, 0.0}, {100.0, 2.0}, {21.0, 7.0}};
  return settings;
}

model::ModelSettings of_template(const std::string& type, model::Parameters parameters, std::vector<double> nominal,
                                 double noise_std) {
  model::ModelSettings settings;
  settings.name = type;
  settings.type = type;
  settings.time = model::TimeBase::continuous;
  settings.parameters = std::move(parameters);
  if (!model::complete(settings).empty()) std::exit(1);
  for (auto& output : settings.outputs) output.noise_std = noise_std;
  for (std::size_t j = 0; j < nominal.size(); ++j) settings.inputs[j].nominal = nominal[j];
  settings.noise.Q = model::Rows(settings.states.size(), std::vector<double>(settings.states.size(), 0.0));
  for (std::size_t i = 0; i < settings.states.size(); ++i) (*settings.noise.Q)[i][i] = 0.1 * noise_std * noise_std;
  return settings;
}

}  // namespace

int main() {
  Noise noise;
  for (int i = 0; i < 2000; ++i) {
    const double x = 5.0 * noise();
    const double y = 5.0 * noise();
    line("elementary", std::vector{base::exp(x), base::log(std::abs(x)), base::log1p(std::abs(x)), base::erf(x),
                                   base::erfc(x), base::atan2(x, y), base::hypot(x, y)});
  }
  print(chain(2), {0.7});
  print(chain(4));
  print(chain(12));
  print(innovations());
  print(of_template(
      "two_tank",
      {{"A1", 0.0028, ""}, {"A2", 0.0032, ""}, {"a1", 1.2e-5, ""}, {"a2", 1.2e-5, ""}, {"k_pump", 6.2e-6, ""}}, {3.0},
      0.002));
  print(of_template("heat_exchanger",
                    {{"UA", 900.0, ""},
                     {"cp_hot", 4180.0, ""},
                     {"cp_cold", 3900.0, ""},
                     {"M_hot", 2.0, ""},
                     {"M_cold", 3.0, ""},
                     {"cells", 3.0, ""}},
                    {80.0, 10.0, 0.2, 0.3}, 0.05));
  print(of_template(
      "compressor_receiver",
      {{"V", 0.5, ""}, {"V_stroke", 5e-4, ""}, {"eta_slope", 0.1, ""}, {"k_valve", 2e-8, ""}, {"k_leak", 1e-9, ""}},
      {900.0, 0.5, 101325.0}, 500.0));
}
