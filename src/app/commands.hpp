// The commands of the executable. Each returns its exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::app {

int run_command(const std::string& config_file);

int check_command(const std::string& config_file, bool json);

struct SimulateArguments {
  std::string config_file;
  double speed = 1.0;
  std::uint64_t seed = 1;
  std::optional<std::string> truth_file;
  std::vector<std::string> faults;
};
int simulate_command(const SimulateArguments& arguments);

int version_command(bool json);

}  // namespace twinkeeper::app
