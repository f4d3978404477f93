// Tells whether one of the files a connection is made with was replaced or rewritten.
// Thread rule: free of state. Allocates.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

using FileStamps = std::vector<std::array<std::int64_t, 4>>;

// A file that is absent or not configured has a stamp of its own kind.
[[nodiscard]] inline FileStamps stamps_of(const UplinkSettings& settings) {
  FileStamps stamps;
  for (const std::string* path :
       {&settings.root_ca, &settings.cert, &settings.key, &settings.crl, &settings.password_file}) {
    struct stat status {};
    if (::stat(path->c_str(), &status) != 0) status = {};
    stamps.push_back({static_cast<std::int64_t>(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                      static_cast<std::int64_t>(status.st_mode)});
  }
  return stamps;
}

}  // namespace twinkeeper::uplink
