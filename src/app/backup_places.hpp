// What a backup is: the names of its files, and where on this machine each of them stands.
//
//   manifest.json   schema, version, gateway, time, epoch, what is in it
//   config/…        below the folder of the configuration file: that file and what it names
//   state/…         below the state directory, with state/spool.db: the spool as one moment had it
// Pure but for links, which are followed: a file that one of them leads out of both folders is in neither.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "app/plan.hpp"

namespace twinkeeper::app {

inline constexpr const char* kManifest = "manifest.json";
inline constexpr const char* kBackupSchema = "twinkeeper.backup/1";
inline constexpr const char* kConfigMembers = "config/";
inline constexpr const char* kStateMembers = "state/";
inline constexpr const char* kSpoolMember = "state/spool.db";

// "models/tank.yaml" of a file below `folder`, which has no links in it; those of the file are followed.
[[nodiscard]] std::optional<std::string> path_below(const std::string& file, const std::string& folder);

class BackupPlaces {
 public:
  BackupPlaces(const std::string& config_file, const std::string& state_directory);

  [[nodiscard]] const std::string& config_file() const { return config_file_; }
  [[nodiscard]] const std::string& config_folder() const { return config_folder_; }
  [[nodiscard]] const std::string& state_directory() const { return state_directory_; }

  // Nothing: it lies below neither folder.
  [[nodiscard]] std::optional<std::string> name_of(const std::string& file) const;
  // Of a plain name; nothing: there is no such place, or a link leads out of it.
  [[nodiscard]] std::optional<std::string> file_of(const std::string& name) const;

 private:
  std::string config_file_, config_folder_, state_directory_;
};

// Files that the configuration names beside those that it was read from; true: private.
[[nodiscard]] std::map<std::string, bool> files_of_uplink(const Plan& plan);

}  // namespace twinkeeper::app
