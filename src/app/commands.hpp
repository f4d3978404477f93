// The commands of the executable. Each returns its exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::app {

struct RunArguments {
  std::string config_file;
  std::optional<std::string> capture_file;
  std::uint64_t capture_limit = 1ULL << 30;  // bytes
};
int run_command(const RunArguments& arguments);

int check_command(const std::string& config_file, bool json);

struct SimulateArguments {
  std::string config_file;
  double speed = 1.0;
  std::uint64_t seed = 1;
  std::optional<std::string> truth_file;
  std::vector<std::string> faults;
};
int simulate_command(const SimulateArguments& arguments);

struct ReplayArguments {
  std::string config_file;
  std::string capture_file;
  std::optional<std::string> twin;
  std::optional<std::string> output_file;
  std::optional<std::string> samples_file;
};
int replay_command(const ReplayArguments& arguments);

int version_command(bool json);

}  // namespace twinkeeper::app
