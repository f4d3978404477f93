// The configuration that ran last: the files that it was read from, kept in the state directory, so that a person can put
// them back (`twinkeeper rollback`). The service itself never runs anything but what its file says.
//
// One file, replaced as a whole, mode 0600: a line of JSON (schema, version, when, paths and sizes, the configuration file
// first), then the contents one after the other. The overlay of AWS IoT Core is not in it: it has a file of its own
// there, and one that is in the way is left out at a start.
// Errors: io, permission_denied, not_found; corrupt if the file is not whole. Thread rule: free functions. Waits for the
// disk.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

struct LastGood {
  std::string config_file;
  std::map<std::string, std::string> files;  // texts by absolute path, config_file among them
  base::WallTime since;                      // when it was kept
};

[[nodiscard]] std::string last_good_file(const std::string& state_directory);

// Nothing is written if the same is kept already. Paths are made absolute.
[[nodiscard]] base::Status keep_last_good(const std::string& state_directory, const std::string& config_file,
                                          const std::map<std::string, std::string>& texts, base::WallTime now);
[[nodiscard]] base::Result<LastGood> read_last_good(const std::string& state_directory);

// Where the state of `config_file` may be, the likeliest first, if it can't be loaded: what looks like its
// state_directory, $STATE_DIRECTORY of systemd, the usual one.
[[nodiscard]] std::vector<std::string> likely_state_directories(const std::string& config_file);

// What is kept of `config_file` in one of them, and where.
struct FoundLastGood {
  std::string state_directory;
  LastGood kept;
};
[[nodiscard]] std::optional<FoundLastGood> find_last_good(const std::string& config_file,
                                                          const std::vector<std::string>& state_directories);
// Those of its files that are missing or have another content now.
[[nodiscard]] std::vector<std::string> changed_since(const LastGood& kept);

}  // namespace twinkeeper::app
