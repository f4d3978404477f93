#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"

namespace {

constexpr const char* kFaults =
    "Fault to inject, repeatable (T, D in seconds from the start):\n"
    "disturbance:TWIN.STATE@T+D=V (V in unit/s; negative is a leak),\n"
    "stuck:TAG@T+D, bias:TAG@T+D=V, dropout:DEVICE@T+D";

}  // namespace

int main(int argc, char** argv) {
  using namespace twinkeeper::app;
  CLI::App cli{"twinkeeper: a digital twin of the machines behind a factory gateway"};
  cli.require_subcommand(1);
  cli.failure_message(CLI::FailureMessage::simple);

  std::string config_file;
  bool json = false;

  auto* run = cli.add_subcommand("run", "The service: reads devices, runs twins, publishes");
  run->add_option("--config", config_file, "Configuration file")->required();
  run->footer("Example: twinkeeper run --config /etc/twinkeeper/twinkeeper.yaml");

  auto* check = cli.add_subcommand("check", "Checks a configuration offline and prints the effective plan");
  check->add_option("--config", config_file, "Configuration file")->required();
  check->add_flag("--json", json, "Print the plan as JSON");
  check->footer("Example: twinkeeper check --config /etc/twinkeeper/twinkeeper.yaml");

  SimulateArguments simulation;
  auto* simulate = cli.add_subcommand("simulate", "Serves the configuration's devices from the twins' own models");
  simulate->add_option("--config", simulation.config_file, "Configuration file")->required();
  simulate->add_option("--speed", simulation.speed, "How many times faster than the clock")->check(CLI::PositiveNumber);
  simulate->add_option("--seed", simulation.seed, "Seed of noise and inputs");
  simulate->add_option("--truth", simulation.truth_file, "Writes the true states as CSV");
  simulate->add_option("--fault", simulation.faults, kFaults);
  simulate->footer(
      "Example: twinkeeper simulate --config demo.yaml --truth truth.csv --fault "
      "disturbance:tanks.level_1@20+10=-0.002");

  auto* version = cli.add_subcommand("version", "Version, build and library versions");
  version->add_flag("--json", json, "Print as JSON");
  version->footer("Example: twinkeeper version");

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = cli.exit(error);
    return code == 0 ? kExitDone : kExitUsage;
  }
  try {
    if (*run) return run_command(config_file);
    if (*check) return check_command(config_file, json);
    if (*simulate) return simulate_command(simulation);
    return version_command(json);
  } catch (const std::exception& error) {
    std::cerr << "twinkeeper: internal error: " << error.what() << '\n';
    return kExitInternal;
  }
}
