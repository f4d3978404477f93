// Many twins on one thread in real time: share of one core, time of a step, lateness, memory for each.
//
// usage: bench_many_twins [TWINS] [SECONDS]        (200 twins for 120 s)
//
// Each twin has its own random model (n = 8, m = 2, p = 4), its own six tags and a period of 100 ms; the samples are
// made of its own plant before the clock starts, one in fifty is missing. Every 100 ms the thread does for each twin
// what the twin thread does: validate six samples, hand them to the synchroniser, close the tick, step, diagnose.
//
//   step        from the first of a twin's samples until its anomalies are known
//   lateness    from the deadline that all twins share until a twin's step begins: the last one waits for all others.
//               In every other ten seconds checkpoints are taken as the service does it, each twin once a minute, one
//               after the other, written and synced by a thread of its own: told apart
//   share       CPU time of the thread over wall time, without making samples
#include <time.h>
#include <unistd.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/validator.hpp"
#include "app/checkpoint.hpp"
#include "app/plan.hpp"
#include "app/twin_run.hpp"
#include "bench/random_plant.hpp"
#include "twinkeeper/base/archive.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/base/wake_up.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::bench;
using namespace std::chrono_literals;

constexpr Index kStates = 8, kInputs = 2, kOutputs = 4;
constexpr std::size_t kTags = kInputs + kOutputs;
constexpr base::Duration kPeriod = 100ms;
constexpr std::size_t kBlock = 100, kMinute = 600;  // ticks

// A device for each twin, which has a register for each input and output.
app::Plan make_plan(std::size_t twins, std::mt19937_64& engine) {
  app::Plan plan;
  for (std::size_t i = 0; i < twins; ++i) {
    config::DeviceConfig device;
    device.driver.name = "d" + std::to_string(i);
    device.driver.poll_interval = kPeriod;
    config::TwinConfig twin;
    twin.name = "t" + std::to_string(i);
    twin.period = kPeriod;
    for (std::size_t r = 0; r < kTags; ++r) {
      drivers::RegisterSettings reg;
      reg.name = "r" + std::to_string(r);
      reg.type = drivers::ValueType::FLOAT64;
      reg.poll_interval = kPeriod;
      device.driver.registers.push_back(reg);
      config::RegisterOptions options;
      options.validation.max_age = 3 * kPeriod;
      device.registers.push_back(options);
      const auto tag = static_cast<signals::TagIndex>(i * kTags + r);
      if (r < kInputs) {
        acquisition::InputSource source;
        source.tag = tag;
        twin.inputs.push_back(source);
      } else {
        twin.outputs.push_back({tag});
      }
    }
    plan.models.push_back(random_model(engine, kStates, kInputs, kOutputs, Noise::independent));
    plan.config.devices.push_back(std::move(device));
    plan.config.twins.push_back(std::move(twin));
  }
  return plan;
}

// Tick by tick the inputs and outputs of one plant.
std::vector<double> run_plant(const model::StateSpace& space, std::size_t ticks, std::mt19937_64& engine) {
  std::normal_distribution<double> normal;
  const auto draw = [&](Index n) -> VectorXd { return VectorXd::NullaryExpr(n, [&] { return normal(engine); }); };
  const MatrixXd process = space.Q.llt().matrixL();
  const MatrixXd sensor = space.R.llt().matrixL();
  std::vector<double> values;
  VectorXd x = VectorXd::Zero(kStates);
  for (std::size_t k = 0; k < ticks; ++k) {
    const VectorXd u = draw(kInputs);
    const VectorXd y = space.C * x + space.D * u + sensor * draw(kOutputs);
    values.insert(values.end(), u.begin(), u.end());
    values.insert(values.end(), y.begin(), y.end());
    x = (space.A * x + space.B * u + process * draw(kStates)).eval();
  }
  return values;
}

std::size_t resident_bytes() {
  std::size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// The thread beside, as the service has it.
class CheckpointFiles {
 public:
  CheckpointFiles() {
    char name[] = "/tmp/twinkeeper-bench.XXXXXX";
    folder_ = ::mkdtemp(name) != nullptr ? name : "/tmp";
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        while (std::vector<std::byte>* archive = queue_.try_receive()) {
          const auto content = app::encode_checkpoint({}, *archive);
          if (!app::write_checkpoint(app::checkpoint_file(folder_, "bench"), content).ok()) std::abort();
          queue_.recycle(archive);
        }
        bell_.wait_for(500ms);
      }
    });
  }
  ~CheckpointFiles() {
    thread_.request_stop();
    bell_.ring();
    thread_ = {};
    std::filesystem::remove_all(folder_);
  }

  template <class Fill>
  void take(Fill&& fill) {
    std::vector<std::byte>* archive = queue_.try_acquire();
    if (archive == nullptr) return;
    archive->clear();
    fill(*archive);
    queue_.send(archive);
  }

 private:
  std::string folder_;
  base::RecyclingQueue<std::vector<std::byte>> queue_{8, [] { return std::vector<std::byte>{}; }};
  base::WakeUp bell_;
  std::jthread thread_;
};

void print(const char* name, std::vector<double>& seconds, double unit, const char* unit_name) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double q) {
    return seconds[std::min(seconds.size() - 1, static_cast<std::size_t>(q * static_cast<double>(seconds.size())))] /
           unit;
  };
  std::printf("%-9s p50 %.2f  p99 %.2f  p99.9 %.2f  max %.2f %s\n", name, at(0.5), at(0.99), at(0.999),
              seconds.back() / unit, unit_name);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t twins = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200;
  const std::size_t ticks = 10 * (argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 120);
  if (twins == 0 || ticks == 0) {
    std::fprintf(stderr, "usage: bench_many_twins [TWINS] [SECONDS]\n");
    return 64;
  }
  std::mt19937_64 engine(11);
  app::Plan plan = make_plan(twins, engine);
  std::vector<std::vector<double>> values;
  for (const auto& space : plan.models) values.push_back(run_plant(space, ticks, engine));
  std::vector<double> steps, latenesses, with_checkpoints, turns;
  steps.reserve(twins * ticks);
  latenesses.reserve(twins * ticks);
  turns.reserve(ticks);
  for (auto* all : {&steps, &latenesses, &with_checkpoints}) {  // so that the memory is there, and is not counted below
    all->resize(twins * ticks);
    all->clear();
  }

  const base::SystemClock clock;
  const base::Instant origin = clock.now() + 2s;
  const std::size_t before = resident_bytes();
  auto made = app::make_twins(plan);
  if (std::holds_alternative<base::Issues>(made)) {
    std::fprintf(stderr, "a model cannot be followed\n");
    return 70;
  }
  auto runs = app::make_twin_runs(plan, std::get<0>(std::move(made)), origin);
  acquisition::Validator validator(app::tag_rules(plan));
  const auto tags = app::tags_of_twins(plan);
  CheckpointFiles files;
  std::size_t next_checkpoint = 0;
  const double bytes = static_cast<double>(resident_bytes() - before) / static_cast<double>(twins);

  std::vector<diagnosis::AnomalyEvent> anomalies;
  std::size_t fused = 0, raised = 0, late_turns = 0;
  double busy = 0.0;
  const base::Instant begin = clock.now();
  for (std::size_t k = 0; k < ticks; ++k) {
    const auto tick = static_cast<std::int64_t>(k);
    const base::Instant time = base::grid_point(origin, kPeriod, tick);
    const base::Instant deadline = time + kPeriod / 2;
    clock.sleep_until(deadline);
    const bool checkpoints = k / kBlock % 2 == 1;
    if (k % kBlock == 0) next_checkpoint = k * twins / kMinute;
    const double cpu_before = thread_seconds();
    for (std::size_t i = 0; i < twins; ++i) {
      const base::Instant started = clock.now();
      for (std::size_t r = 0; r < kTags; ++r) {
        if ((k * twins * kTags + i * kTags + r) % 53 == 0) continue;
        signals::Sample sample;
        sample.tag = static_cast<signals::TagIndex>(i * kTags + r);
        sample.value = values[i][k * kTags + r];
        sample.raw.kind = signals::RawKind::float64;
        sample.raw.real = sample.value;
        sample.quality = signals::Quality::good;
        sample.time = time + 3ms;
        validator.validate(sample);
        runs[i].accept(sample);
      }
      const estimation::TwinStep& step = runs[i].step(tick, anomalies);
      const base::Instant done = clock.now();
      for (const auto& row : step.outputs) fused += row.fused ? 1 : 0;
      steps.push_back(std::chrono::duration<double>(done - started).count());
      (checkpoints ? with_checkpoints : latenesses)
          .push_back(std::chrono::duration<double>(started - deadline).count());
    }
    for (; checkpoints && next_checkpoint * kMinute < k * twins; ++next_checkpoint) {
      const std::size_t i = next_checkpoint % twins;
      files.take([&](std::vector<std::byte>& archive) {
        base::ArchiveWriter writer(archive);
        app::archive(tags[i], validator, writer);
        writer(runs[i]);
      });
    }
    turns.push_back(std::chrono::duration<double>(clock.now() - deadline).count());
    busy += thread_seconds() - cpu_before;
    late_turns += clock.now() > deadline + kPeriod ? 1 : 0;
    raised += anomalies.size();
    anomalies.clear();
  }
  const double wall = std::chrono::duration<double>(clock.now() - std::max(begin, origin)).count();
  std::printf("%zu twins (n=%d, m=%d, p=%d) every 100 ms for %.0f s\n", twins, static_cast<int>(kStates),
              static_cast<int>(kInputs), static_cast<int>(kOutputs), wall);
  std::printf("share     %.2f %% of one core, %.2f us a step\n", 100.0 * busy / wall,
              1e6 * busy / static_cast<double>(twins * ticks));
  print("step", steps, 1e-6, "us");
  print("lateness", latenesses, 1e-3, "ms, without checkpoints");
  if (!with_checkpoints.empty()) print("lateness", with_checkpoints, 1e-3, "ms, with checkpoints");
  print("all done", turns, 1e-3, "ms after the deadline");
  std::printf("memory    %.1f kB a twin\n", bytes / 1e3);
  std::printf("rows      %.2f %% fused, %zu anomaly events, %zu turns a period late\n",
              100.0 * static_cast<double>(fused) / static_cast<double>(twins * ticks * kOutputs), raised, late_turns);
}
