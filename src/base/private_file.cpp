#include "twinkeeper/base/private_file.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace twinkeeper::base {
namespace {

constexpr const char* kServiceUser = "twinkeeper";

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  groups.resize(static_cast<std::size_t>(std::max(0, ::getgroups(static_cast<int>(groups.size()), groups.data()))));
  groups.push_back(::getegid());
  // Root checks on behalf of the service.
  const passwd* const service = ::geteuid() == 0 ? ::getpwnam(kServiceUser) : nullptr;
  if (service != nullptr) {
    std::array<gid_t, 64> theirs{};
    int count = static_cast<int>(theirs.size());
    if (::getgrouplist(kServiceUser, service->pw_gid, theirs.data(), &count) >= 0) {
      groups.insert(groups.end(), theirs.begin(), theirs.begin() + count);
    }
  }
  return groups;
}

bool is_own_group(gid_t group) {
  const auto groups = own_groups();
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

// What the service manager puts there is for this service alone, whatever mode and group say: an access list lets its
// user in, and the bits of the group are that list's mask.
bool is_credential(const std::string& path) {
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr || *folder != '/') return false;
  std::error_code error;
  const auto inside = std::filesystem::relative(path, folder, error);
  return !error && !inside.empty() && inside.begin()->string() != "..";
}

// `kind`: "key"
std::optional<PrivateFileFault> owner_fault(const std::string& path, const struct stat& status,
                                            const std::string& kind) {
  const uid_t mine = ::geteuid();
  if (mine == 0 || status.st_uid == 0 || status.st_uid == mine) return std::nullopt;
  return PrivateFileFault{path + ": belongs to another user (uid " + std::to_string(status.st_uid) + ")",
                          "a " + kind + " of root or of the user that runs the service"};
}

std::optional<PrivateFileFault> folder_fault(const std::filesystem::path& file, const std::string& kind) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(file, error);
  if (error) return std::nullopt;
  for (auto folder = whole.parent_path(); folder != folder.parent_path(); folder = folder.parent_path()) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
      return PrivateFileFault{folder.string() + ": anybody can replace the " + kind + " in this folder",
                              "a folder that others cannot write; chmod o-w " + folder.string()};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string octal_mode(unsigned mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
  return text.data();
}

std::optional<PrivateFileFault> private_file_fault(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  if ((status.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return PrivateFileFault{
        path + ": mode " + octal_mode(status.st_mode) + " lets others than its owner read or change the private key",
        "mode 0600, or 0640 for the service's group; chmod 600 " + path};
  }
  if ((status.st_mode & S_IRGRP) != 0 && !is_own_group(status.st_gid) && !is_credential(path)) {
    const group* const entry = ::getgrgid(status.st_gid);
    return PrivateFileFault{path + ": mode " + octal_mode(status.st_mode) + " lets the group " +
                                (entry == nullptr ? std::to_string(status.st_gid) : std::string(entry->gr_name)) +
                                " read the private key",
                            "mode 0600, or 0640 for the service's own group; chmod 600 " + path};
  }
  if (auto fault = owner_fault(path, status, "key")) return fault;
  return folder_fault(path, "key");
}

std::optional<PrivateFileFault> trusted_file_fault(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return PrivateFileFault{path + ": mode " + octal_mode(status.st_mode) + " lets others than its owner change it",
                            "a mode such as 0644; chmod go-w " + path};
  }
  if (auto fault = owner_fault(path, status, "file")) return fault;
  return folder_fault(path, "file");
}

}  // namespace twinkeeper::base
