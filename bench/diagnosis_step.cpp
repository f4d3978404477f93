// What diagnosis costs beside the step it judges, by (states, inputs, outputs): `step`, Twin::step alone; `diagnosis`,
// TwinDiagnosis::evaluate with all its tests and the record for isolation, FilterStep included; `isolation`, one
// evaluation of that record, which happens when an alarm is due. Matched plants, all rows.
#include <benchmark/benchmark.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

#include "bench/random_plant.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::bench;

constexpr base::Duration kStep = std::chrono::milliseconds{100};

struct Parts {
  estimation::Twin twin;
  diagnosis::TwinDiagnosis diagnosis;
  diagnosis::FaultIsolation isolation;
  std::vector<signals::Frame> frames;
};

Parts parts_of(benchmark::State& state) {
  std::mt19937_64 engine(42);
  std::normal_distribution<double> normal;
  const model::StateSpace space =
      random_model(engine, state.range(0), state.range(1), state.range(2), Noise::independent);
  const MatrixXd root = space.Q.llt().matrixL();
  VectorXd x = VectorXd::Zero(space.n_x());
  std::vector<signals::Frame> frames(4096);
  for (std::size_t k = 0; k < frames.size(); ++k) {
    const VectorXd u = VectorXd::NullaryExpr(space.n_u(), [&] { return normal(engine); });
    const VectorXd y =
        space.C * x + VectorXd::NullaryExpr(space.n_y(), [&] { return std::sqrt(0.5) * normal(engine); });
    x = (space.A * x + space.B * u + root * VectorXd::NullaryExpr(space.n_x(), [&] { return normal(engine); })).eval();
    for (const double value : u) {
      frames[k].inputs.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    }
    for (const double value : y) {
      frames[k].outputs.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    }
  }
  estimation::TwinSettings settings;
  settings.period = kStep;
  auto created = estimation::Twin::create(space, settings);
  if (!std::holds_alternative<estimation::Twin>(created)) std::abort();
  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = "bench";
  setup.period = kStep;
  for (const auto& input : space.inputs) setup.inputs.push_back({input.name, input.unit, "plc." + input.name});
  for (const auto& output : space.outputs) setup.outputs.push_back({output.name, output.unit, "plc." + output.name});
  const std::vector<bool> mapped(static_cast<std::size_t>(space.n_y()), true);
  const diagnosis::FaultIsolation isolation(space, mapped);
  diagnosis::TwinDiagnosis diagnosis(setup);
  std::vector<diagnosis::SignalSetup> states;
  for (const auto& signal : space.states) states.push_back({signal.name, signal.unit, {}});
  diagnosis.isolate_with({isolation, states, mapped});
  return {std::get<estimation::Twin>(std::move(created)), std::move(diagnosis), isolation, std::move(frames)};
}

void run(benchmark::State& state, bool judged) {
  Parts parts = parts_of(state);
  estimation::TwinStep out = parts.twin.make_record();
  estimation::FilterStep filter;
  std::vector<diagnosis::AnomalyEvent> events;
  std::int64_t k = 0;
  for (auto _ : state) {
    signals::Frame& frame = parts.frames[static_cast<std::size_t>(k) % parts.frames.size()];
    frame.step = k;
    frame.time = base::Instant{} + k * kStep;
    parts.twin.step(frame, out);
    if (judged) {
      parts.twin.tell(filter);
      parts.diagnosis.evaluate(out, events, &filter);
      events.clear();
    }
    benchmark::DoNotOptimize(out.x.data());
    ++k;
  }
}

void isolate(benchmark::State& state) {
  Parts parts = parts_of(state);
  estimation::TwinStep out = parts.twin.make_record();
  estimation::FilterStep filter;
  for (std::int64_t k = 0; k < 1000; ++k) {
    signals::Frame& frame = parts.frames[static_cast<std::size_t>(k)];
    frame.time = base::Instant{} + k * kStep;
    parts.twin.step(frame, out);
    parts.twin.tell(filter);
    parts.isolation.take(out, filter);
  }
  for (auto _ : state) {
    diagnosis::FaultIsolation isolation = parts.isolation;
    while (!isolation.evaluate()) {
    }
    benchmark::DoNotOptimize(isolation.estimates().data());
  }
}

void bench_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "m", "p"})->Args({4, 2, 2})->Args({8, 3, 4})->Args({16, 4, 8});
}

BENCHMARK_CAPTURE(run, step, false)->Apply(bench_sizes);
BENCHMARK_CAPTURE(run, step_and_diagnosis, true)->Apply(bench_sizes);
BENCHMARK(isolate)->Apply(bench_sizes);

}  // namespace

BENCHMARK_MAIN();
