// Time of one Twin::step, by (states, inputs, outputs), with everything a live step does: 5-sigma gate, state and input
// limits, modes. `full`: every output fresh and fused; `masked`: each output present in half of the steps at random;
// `correlated`: full R and S ≠ 0; `innovations`: K and Ry alone. `filter`: expect, fuse, standard deviations and
// predict alone, all rows, of lags in a chain, whose covariance comes to rest; `steady` as they are, `full` without
// that path.
#include <benchmark/benchmark.h>

#include <Eigen/Eigenvalues>
#include <array>
#include <random>
#include <vector>

#include "bench/random_plant.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::bench;

// Frames of the model's own plant, so that the gate sees what it would see in service.
std::vector<signals::Frame> simulate(std::mt19937_64& engine, const model::StateSpace& space, bool masked) {
  constexpr int kFrames = 512;
  std::normal_distribution<double> normal;
  const Index n = space.n_x();
  const Index p = space.n_y();
  MatrixXd joint(n + p, n + p);
  joint << space.Q, space.S, space.S.transpose(), space.R;
  const Eigen::SelfAdjointEigenSolver<MatrixXd> modes(joint);
  const MatrixXd root = modes.eigenvectors() * modes.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal();
  VectorXd x = VectorXd::Zero(n);
  std::vector<signals::Frame> frames(kFrames);
  for (int k = 0; k < kFrames; ++k) {
    const VectorXd noise = root * VectorXd::NullaryExpr(n + p, [&] { return normal(engine); });
    const VectorXd u = VectorXd::NullaryExpr(space.n_u(), [&] { return normal(engine); });
    const VectorXd y = space.C * x + space.D * u + noise.tail(p);
    x = (space.A * x + space.B * u + noise.head(n)).eval();
    frames[k].step = k;
    for (const double value : u) {
      frames[k].inputs.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    }
    for (const double value : y) {
      const bool fresh = !masked || engine() % 2 == 0;
      frames[k].outputs.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, fresh});
    }
  }
  return frames;
}

void step(benchmark::State& state, Noise noise, bool masked) {
  std::mt19937_64 engine(42);
  const model::StateSpace space = random_model(engine, state.range(0), state.range(1), state.range(2), noise);
  const std::vector<signals::Frame> frames = simulate(engine, space, masked);
  estimation::TwinSettings settings;
  settings.period = std::chrono::milliseconds{100};
  auto created = estimation::Twin::create(space, settings);
  if (!std::holds_alternative<estimation::Twin>(created)) {
    state.SkipWithError("the model cannot be followed");
    return;
  }
  auto& twin = std::get<estimation::Twin>(created);
  estimation::TwinStep out = twin.make_record();
  std::size_t k = 0;
  for (auto _ : state) {
    twin.step(frames[k], out);
    benchmark::DoNotOptimize(out.x.data());
    k = (k + 1) % frames.size();
  }
  if (twin.counters().rolled_back_steps != 0) state.SkipWithError("a step was rolled back");
}

// All tests of the diagnosis over such steps, beside `step` itself.
void diagnose(benchmark::State& state) {
  std::mt19937_64 engine(42);
  const auto [n_x, n_u, n_y] = std::array{state.range(0), state.range(1), state.range(2)};
  const model::StateSpace space = random_model(engine, n_x, n_u, n_y, Noise::independent);
  estimation::TwinSettings settings;
  settings.period = std::chrono::milliseconds{100};
  auto created = estimation::Twin::create(space, settings);
  auto& twin = std::get<estimation::Twin>(created);
  std::vector<estimation::TwinStep> steps;
  for (const signals::Frame& frame : simulate(engine, space, false)) {
    steps.push_back(twin.make_record());
    twin.step(frame, steps.back());
    steps.back().mode = estimation::Mode::tracking;
  }
  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = "t";
  setup.period = settings.period;
  for (Index i = 0; i < n_u; ++i) setup.inputs.push_back({"u" + std::to_string(i), "", "plc.u" + std::to_string(i)});
  for (Index i = 0; i < n_y; ++i) setup.outputs.push_back({"y" + std::to_string(i), "", "plc.y" + std::to_string(i)});
  diagnosis::TwinDiagnosis diagnosis(std::move(setup));
  std::vector<diagnosis::AnomalyEvent> out;
  std::size_t k = 64;  // the state is known by then
  for (auto _ : state) {
    steps[k].time += settings.period * static_cast<int>(steps.size());
    diagnosis.evaluate(steps[k], out);
    k = k + 1 < steps.size() ? k + 1 : 64;
  }
  if (!out.empty()) state.SkipWithError("an alarm was raised");
}

// Every second lag of the chain is measured.
model::StateSpace chain(Index n, Index m, Index p) {
  std::mt19937_64 engine(42);
  model::StateSpace space = random_model(engine, n, m, p, Noise::independent);
  space.A = 0.95 * MatrixXd::Identity(n, n);
  for (Index i = 1; i < n; ++i) space.A(i, i - 1) = 0.04;
  space.C.setZero();
  for (Index i = 0; i < p; ++i) space.C(i, i * n / p) = 1.0;
  space.Q = 0.01 * MatrixXd::Identity(n, n);
  return space;
}

void filter(benchmark::State& state, Noise noise, bool steady) {
  std::mt19937_64 engine(42);
  const auto [n_x, n_u, n_y] = std::array{state.range(0), state.range(1), state.range(2)};
  const model::StateSpace space =
      noise == Noise::innovations ? random_model(engine, n_x, n_u, n_y, noise) : chain(n_x, n_u, n_y);
  const auto n = static_cast<std::size_t>(space.n_x());
  estimation::KalmanFilter filter(space);
  filter.reset(VectorXd::Zero(n_x), VectorXd::Constant(n_x, noise == Noise::innovations ? 0.0 : 1.0));
  const std::vector<double> u(static_cast<std::size_t>(space.n_u()), 0.1);
  const std::vector<double> y(static_cast<std::size_t>(space.n_y()), 0.2);
  const std::vector<std::uint8_t> all(y.size(), 1);
  std::vector<double> std(n);
  const auto step = [&] {
    if (!steady) filter.leave_steady();
    filter.expect(u);
    benchmark::DoNotOptimize(filter.fuse(y, all, all));
    filter.standard_deviations(std);
    return filter.predict(u);
  };
  for (int k = 0; k < 5000; ++k) {
    if (!step()) state.SkipWithError("not finite");
  }
  if (!filter.steady()) state.SkipWithError("the covariance has not come to rest");
  for (auto _ : state) benchmark::DoNotOptimize(step());
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "m", "p"})->Args({4, 2, 2})->Args({8, 3, 4})->Args({16, 4, 8})->Args({64, 4, 16});
}

BENCHMARK_CAPTURE(step, full, Noise::independent, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, masked, Noise::independent, true)->Apply(sizes);
BENCHMARK_CAPTURE(step, correlated, Noise::correlated, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, correlated_masked, Noise::correlated, true)->Apply(sizes);
BENCHMARK_CAPTURE(step, innovations, Noise::innovations, false)->Apply(sizes);
BENCHMARK(diagnose)->Apply(sizes);
void resting_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "m", "p"})->Args({2, 1, 2})->Args({8, 3, 4});
}

BENCHMARK_CAPTURE(filter, full, Noise::independent, false)->Apply(resting_sizes);
BENCHMARK_CAPTURE(filter, steady, Noise::independent, true)->Apply(resting_sizes);
BENCHMARK_CAPTURE(filter, innovations_full, Noise::innovations, false)->Apply(sizes);
BENCHMARK_CAPTURE(filter, innovations_steady, Noise::innovations, true)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
