#include "base/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace twinkeeper::base {

Error system_error(const std::string& what, int number) {
  const ErrorCode code = number == ENOENT || number == ENOTDIR                    ? ErrorCode::not_found
                         : number == EACCES || number == EPERM || number == EROFS ? ErrorCode::permission_denied
                                                                                  : ErrorCode::io;
  return {code, what + ": " + std::generic_category().message(number)};
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

namespace {

// `exactly`: whatever the umask says.
Status replace(const std::string& path, std::string_view content, mode_t mode, bool exactly) {
  const std::string fresh = path + ".new";
  const int descriptor = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor < 0) return system_error(fresh, errno);
  if (exactly) static_cast<void>(::fchmod(descriptor, mode));
  const bool written = write_all(descriptor, content) && ::fsync(descriptor) == 0;
  const int number = errno;
  ::close(descriptor);
  if (!written) {
    ::unlink(fresh.c_str());  // the next one needs the room
    return system_error(fresh, number);
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return system_error(path, errno);
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return Success{};
}

}  // namespace

Status replace_file(const std::string& path, std::string_view content) { return replace(path, content, 0600, false); }

Status rewrite_file(const std::string& path, std::string_view content, unsigned mode) {
  struct stat old {};
  const bool existed = ::stat(path.c_str(), &old) == 0;
  return replace(path, content, existed ? old.st_mode & 07777 : mode, existed);
}

Status append_to_file(const std::string& path, std::string_view text) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return system_error(path, errno);
  struct stat before {};
  bool written = ::fstat(descriptor, &before) == 0;
  int number = errno;
  if (written) {
    written = write_all(descriptor, text) && ::fdatasync(descriptor) == 0;
    number = errno;
    if (!written) static_cast<void>(!::ftruncate(descriptor, before.st_size));
  }
  ::close(descriptor);
  if (!written) return system_error(path, number);
  return Success{};
}

Result<std::string> content_of(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would be waited for
  if (descriptor < 0) return system_error(path, errno);
  std::string content;
  char piece[65536];
  ssize_t size = 0;
  while ((size = ::read(descriptor, piece, sizeof piece)) != 0) {
    if (size > 0) content.append(piece, static_cast<std::size_t>(size));
    if (size < 0 && errno != EINTR) break;
  }
  const int number = errno;
  ::close(descriptor);
  if (size < 0) return system_error(path, number);
  return content;
}

}  // namespace twinkeeper::base
