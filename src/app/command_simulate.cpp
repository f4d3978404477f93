#include <pthread.h>
#include <signal.h>

#include <iostream>
#include <thread>

#include "app/commands.hpp"
#include "app/event_log.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "simulation/fault.hpp"
#include "simulation/simulation.hpp"

namespace twinkeeper::app {
namespace {

simulation::Settings settings_of(const Plan& plan, const SimulateArguments& arguments) {
  simulation::Settings settings;
  settings.seed = arguments.seed;
  settings.speed = arguments.speed;
  settings.truth_file = arguments.truth_file;
  for (const auto& device : plan.config.devices) {
    settings.devices.push_back(device.driver);
    // Registers that no twin drives stand in the middle of their range.
    for (const auto& options : device.registers) {
      const auto& low = options.validation.min_value;
      const auto& high = options.validation.max_value;
      settings.constants.push_back(low && high ? std::optional((*low + *high) / 2.0) : std::nullopt);
    }
  }
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& twin = plan.config.twins[i];
    simulation::TwinSettings simulated{twin.name, plan.models[i], twin.period, {}, {}};
    for (const auto& output : twin.outputs) simulated.outputs.push_back(output.tag);
    for (const auto& input : twin.inputs) simulated.inputs.push_back({input.tag, input.constant});
    settings.twins.push_back(std::move(simulated));
  }
  return settings;
}

int exit_code_of_simulation(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::invalid_argument: return kExitUsage;  // --speed: all else is checked before
    case base::ErrorCode::unavailable: return kExitUnavailable;
    default: return kExitIo;
  }
}

int fail(const base::Error& error) {
  std::cerr << "twinkeeper: " << error.message() << '\n';
  return exit_code_of_simulation(error);
}

// Requests a stop when the process is told to end; a signal handler could not.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    waiter_ = std::jthread([this](std::stop_token over) {
      const timespec turn{0, 100'000'000};
      while (!over.stop_requested()) {
        if (sigtimedwait(&signals_, nullptr, &turn) > 0) source_.request_stop();
      }
    });
  }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source source_;
  std::jthread waiter_;
};

}  // namespace

int simulate_command(const SimulateArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);

  auto settings = settings_of(plan, arguments);
  bool faults_good = true;
  for (const auto& spec : arguments.faults) {
    auto fault = simulation::parse_fault(spec, settings);
    if (fault) {
      settings.faults.push_back(std::move(fault).value());
    } else {
      std::cerr << "--fault: " << fault.error().message() << '\n';
      faults_good = false;
    }
  }
  if (!faults_good) return kExitUsage;

  const StopOnSignal stop;
  const base::SystemClock clock;
  EventLog log(clock);
  auto created = simulation::Simulation::create(std::move(settings), log);
  if (!created) return fail(created.error());
  auto& simulation = created.value();
  for (const auto& endpoint : simulation.summary().endpoints) {
    std::cout << "serving " << endpoint.controller << " at " << endpoint.address << std::endl;
  }
  if (const auto status = simulation.run(stop.token(), clock); !status) return fail(status.error());
  const auto summary = simulation.summary();
  std::cout << summary.steps << " steps, " << summary.skipped << " skipped" << std::endl;
  return kExitDone;
}

}  // namespace twinkeeper::app
