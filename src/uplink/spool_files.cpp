#include "uplink/spool_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/durable_file.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::uplink {
namespace {

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

base::Result<SpoolLock> SpoolLock::acquire(const std::string& directory) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) return base::system_error("state directory " + directory, errno);
  if (!S_ISDIR(status.st_mode)) return base::system_error("state directory " + directory, ENOTDIR);
  const std::string path = directory + "/spool.lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return base::system_error("state directory " + directory + " can't be written to", errno);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    return base::Error(base::ErrorCode::unavailable, "the spool in " + directory + " is in use by another process",
                       true);
  }
  return SpoolLock(descriptor);
}

SpoolLock::SpoolLock(SpoolLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

SpoolLock& SpoolLock::operator=(SpoolLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

SpoolLock::~SpoolLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool spool_is_in_use(const std::string& directory) {
  const int descriptor = ::open((directory + "/spool.lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool in_use = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return in_use;
}

std::uint64_t read_epoch_file(const std::string& directory) {
  const std::string text = base::content_if_any(directory + "/spool.epoch");
  std::uint64_t epoch = 0;
  std::from_chars(text.data(), text.data() + text.size(), epoch);
  return epoch;
}

base::Status write_epoch_file(const std::string& directory, std::uint64_t epoch) {
  return base::replace_file(directory + "/spool.epoch", std::to_string(epoch) + "\n");
}

bool SpoolReserve::disk_is_full() const noexcept {
  struct statvfs disk {};
  return ::statvfs(directory_.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < 2 * bytes_;
}

void SpoolReserve::take() const noexcept {
  const std::string path = directory_ + "/spool.reserve";
  struct stat status {};
  const bool there = ::stat(path.c_str(), &status) == 0;
  if (there && static_cast<std::uint64_t>(status.st_blocks) * 512 >= bytes_) return;
  if (disk_is_full()) return;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  const bool taken = ::posix_fallocate(file, 0, static_cast<off_t>(bytes_)) == 0;
  ::close(file);
  if (!taken) ::unlink(path.c_str());
}

void SpoolReserve::give_up() const noexcept { ::unlink((directory_ + "/spool.reserve").c_str()); }

bool spool_is_accessible(const std::string& directory) {
  for (const char* suffix : kSpoolFileEnds) {
    const std::string path = directory + "/spool.db" + suffix;
    if (!exists(path)) continue;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    if (::access(path.c_str(), R_OK | W_OK) != 0) return false;
  }
  return true;
}

base::Status remove_spool_file(const std::string& file) {
  // Its log first: SQLite would lay it over a file that comes in the place.
  for (auto end = kSpoolFileEnds.rbegin(); end != kSpoolFileEnds.rend(); ++end) {
    if (::unlink((file + *end).c_str()) != 0 && errno != ENOENT) return base::system_error(file + *end, errno);
  }
  return base::Success{};
}

base::Result<std::string> set_spool_aside(const std::string& directory, base::WallTime now) {
  std::string stamp;
  for (const char c : base::format_rfc3339(now)) {
    if (c != '-' && c != ':') stamp += c;
  }
  const std::string stem = directory + "/spool.bad-" + stamp;
  std::string target = stem;
  for (int attempt = 2; exists(target); ++attempt) target = stem + "." + std::to_string(attempt);
  for (const char* suffix : kSpoolFileEnds) {
    const std::string source = directory + "/spool.db" + suffix;
    if (exists(source) && std::rename(source.c_str(), (target + suffix).c_str()) != 0) {
      return base::system_error(source, errno);
    }
  }
  return target;
}

}  // namespace twinkeeper::uplink
