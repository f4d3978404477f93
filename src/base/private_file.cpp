#include "twinkeeper/base/private_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

namespace twinkeeper::base {

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
  const uid_t mine = ::geteuid();
  if (mine != 0 && status.st_uid != 0 && status.st_uid != mine) {
    return PrivateFileFault{path + ": belongs to another user (uid " + std::to_string(status.st_uid) + ")",
                            "a key of root or of the user that runs the service"};
  }
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  if (::stat(folder.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
    return PrivateFileFault{folder + ": anybody can replace the key in this folder",
                            "a folder that others cannot write; chmod o-w " + folder};
  }
  return std::nullopt;
}

}  // namespace twinkeeper::base
