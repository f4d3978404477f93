#include "app/provisioned.hpp"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/durable_file.hpp"

namespace twinkeeper::app {
namespace {

std::string note_of(const uplink::UplinkSettings& settings) { return settings.cert + ".provisioned"; }

}  // namespace

std::string progress_of_provisioning(const uplink::UplinkSettings& settings) { return settings.cert + ".provisioning"; }

void note_provisioned(const uplink::UplinkSettings& settings, const std::string& file) {
  static_cast<void>(base::replace_file(note_of(settings), base::content_if_any(note_of(settings)) + file + "\n"));
}

std::vector<std::string> take_provisioned(const uplink::UplinkSettings& settings) {
  std::vector<std::string> noted{progress_of_provisioning(settings)};
  std::istringstream lines(base::content_if_any(note_of(settings)));
  for (std::string line; std::getline(lines, line);) {
    if (line == settings.cert || line == settings.key) noted.push_back(line);
  }
  noted.push_back(note_of(settings));
  std::erase_if(noted, [](const std::string& file) { return ::unlink(file.c_str()) != 0; });
  return noted;
}

}  // namespace twinkeeper::app
