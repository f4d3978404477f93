// What diagnosis costs beside the step it judges, by (states, inputs, outputs). `diagnosis_beside_step` runs both in turns, blocks of
// steps alone and blocks of steps with all that diagnosis does in each of them (all tests, the record for isolation with
// FilterStep, the watch and what it remembers), and prints the medians and the ratio of what comes on top to the step
// alone; the aim is 1 at (8, ·, 4). `isolate`: one evaluation of that record, which happens when an alarm is due. Matched
// plants, all rows.
#include <benchmark/benchmark.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "bench/random_plant.hpp"
#include "twinkeeper/diagnosis/sensor_watch.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::bench;

constexpr base::Duration kStep = std::chrono::milliseconds{100};

struct Parts {
  estimation::Twin twin;
  diagnosis::TwinDiagnosis diagnosis;
  diagnosis::FaultRecord record;
  diagnosis::FaultIsolation isolation;
  diagnosis::SensorWatch watch;
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
  const diagnosis::SensorWatch watch(isolation, mapped, setup.settings, diagnosis.all_limits());
  return {std::get<estimation::Twin>(std::move(created)),
          std::move(diagnosis),
          diagnosis::FaultRecord(space, kStep, false, 100),
          isolation,
          watch,
          std::move(frames)};
}

class Course {
 public:
  explicit Course(benchmark::State& state) : parts_(parts_of(state)), out_(parts_.twin.make_record()) {
    parts_.watch.remember(memory_);
  }

  void step(bool judged) {
    signals::Frame& frame = parts_.frames[static_cast<std::size_t>(k_) % parts_.frames.size()];
    frame.step = k_;
    frame.time = base::Instant{} + k_ * kStep;
    parts_.twin.step(frame, out_);
    if (judged) {
      parts_.watch.remember(memory_);
      parts_.twin.tell(filter_, diagnosis::FaultRecord::keeps_root(k_));
      parts_.record.take(k_, out_, filter_);
      benchmark::DoNotOptimize(parts_.watch.take(k_, out_, parts_.record));
      parts_.diagnosis.evaluate(out_, events_, {&parts_.record, k_});
      events_.clear();
    }
    benchmark::DoNotOptimize(out_.x.data());
    ++k_;
  }
  [[nodiscard]] std::int64_t steps() const { return k_; }
  Parts& parts() { return parts_; }

 private:
  Parts parts_;
  estimation::TwinStep out_;
  estimation::FilterStep filter_;
  diagnosis::SensorWatch::Memory memory_;
  std::vector<diagnosis::AnomalyEvent> events_;
  std::int64_t k_ = 0;
};

double cpu_nanoseconds() {  // of this thread: a busy machine is no part of it
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

double nanoseconds_a_step(Course& course, bool judged) {
  constexpr int kSteps = 500;
  const double begin = cpu_nanoseconds();
  for (int i = 0; i < kSteps; ++i) course.step(judged);
  return (cpu_nanoseconds() - begin) / kSteps;
}

double middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void diagnosis_beside_step(benchmark::State& state) {
  Course alone(state), judged(state);
  std::vector<double> step, both, ratio;
  for (auto _ : state) {
    step.push_back(nanoseconds_a_step(alone, false));
    both.push_back(nanoseconds_a_step(judged, true));
    ratio.push_back(both.back() / step.back() - 1.0);
  }
  state.counters["step_ns"] = middle(step);
  state.counters["with_diagnosis_ns"] = middle(both);
  state.counters["diagnosis_to_step"] = middle(ratio);
}

void isolate(benchmark::State& state) {
  Course course(state);
  while (course.steps() < 1000) course.step(true);
  for (auto _ : state) {
    diagnosis::FaultIsolation isolation = course.parts().isolation;
    while (!isolation.evaluate(course.parts().record, 0, course.steps() - 1)) {
    }
    benchmark::DoNotOptimize(isolation.estimates().data());
  }
}

void bench_sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "m", "p"})->Args({4, 2, 2})->Args({8, 3, 4})->Args({16, 4, 8});
}

BENCHMARK(diagnosis_beside_step)->Apply(bench_sizes);
BENCHMARK(isolate)->Apply(bench_sizes);

}  // namespace

BENCHMARK_MAIN();
