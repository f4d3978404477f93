#include "app/backup_places.hpp"

#include <filesystem>

namespace twinkeeper::app {
namespace {

// Links followed as far as there are any.
std::string real_path(const std::string& file) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(file);
  auto real = std::filesystem::weakly_canonical(absolute, error);
  return (error ? absolute.lexically_normal() : real).string();
}

}  // namespace

std::optional<std::string> path_below(const std::string& file, const std::string& folder) {
  const std::string real = real_path(file);
  const bool is_below = real.size() > folder.size() + 1 && real.starts_with(folder) && real[folder.size()] == '/';
  return is_below ? std::optional(real.substr(folder.size() + 1)) : std::nullopt;
}

BackupPlaces::BackupPlaces(const std::string& config_file, const std::string& state_directory)
    : config_file_(real_path(config_file)),
      config_folder_(std::filesystem::path(config_file_).parent_path().string()),
      state_directory_(real_path(state_directory)) {}

std::optional<std::string> BackupPlaces::name_of(const std::string& file) const {
  if (const auto rest = path_below(file, state_directory_)) return kStateMembers + *rest;
  if (const auto rest = path_below(file, config_folder_)) return kConfigMembers + *rest;
  return std::nullopt;
}

std::optional<std::string> BackupPlaces::file_of(const std::string& name) const {
  for (const auto& [members, folder] :
       {std::pair{kConfigMembers, &config_folder_}, {kStateMembers, &state_directory_}}) {
    const std::string_view begin = members;
    if (!name.starts_with(begin)) continue;
    std::string file = *folder + "/" + name.substr(begin.size());
    if (real_path(file) != file) return std::nullopt;
    return file;
  }
  return std::nullopt;
}

std::map<std::string, bool> files_of_uplink(const Plan& plan) {
  std::map<std::string, bool> files;
  if (!plan.config.uplink) return files;
  const auto& uplink = *plan.config.uplink;
  for (const std::string& file : {uplink.cert, uplink.root_ca, uplink.crl}) files[file] = false;
  for (const std::string& file : {uplink.key, uplink.password_file}) files[file] = true;
  files.erase("");
  return files;
}

}  // namespace twinkeeper::app
