#include "app/endpoints.hpp"

#include <map>
#include <string>

namespace twinkeeper::app {

std::vector<std::vector<std::size_t>> group_by_controller(const config::Config& config) {
  std::vector<std::vector<std::size_t>> groups;
  std::map<std::string, std::size_t> seen;
  for (std::size_t d = 0; d < config.devices.size(); ++d) {
    const auto [place, is_new] = seen.try_emplace(drivers::endpoint_key(config.devices[d].driver), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(d);
  }
  return groups;
}

}  // namespace twinkeeper::app
