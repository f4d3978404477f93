#include "app/audit_trail.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <system_error>

namespace twinkeeper::app {
namespace {

constexpr off_t kMostBytes = 1 << 20;

// 0, or the errno of what failed.
int append_to(const std::string& file, const std::string& text) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && status.st_size > 0 &&
      status.st_size + static_cast<off_t>(text.size()) > kMostBytes) {
    if (std::rename(file.c_str(), (file + ".1").c_str()) != 0) return errno;
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return errno;
  const ssize_t written = ::write(descriptor, text.data(), text.size());
  int cause = written == static_cast<ssize_t>(text.size()) ? 0 : written < 0 ? errno : ENOSPC;
  if (cause == 0 && ::fdatasync(descriptor) != 0) cause = errno;
  ::close(descriptor);
  return cause;
}

// Of the last whole line, 0 if there is none.
std::uint64_t last_number(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  constexpr std::string_view kKey = "{\"number\":";
  std::uint64_t last = 0;
  for (std::string line; std::getline(stream, line);) {
    if (line.compare(0, kKey.size(), kKey) != 0) continue;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(line.data() + kKey.size(), line.data() + line.size(), number);
    if (error == std::errc{}) last = std::max(last, number);
  }
  return last;
}

}  // namespace

void AuditTrail::append(const std::function<std::string(std::uint64_t number)>& line) {
  if (!last_) last_ = std::max(last_number(file_), last_number(file_ + ".1"));
  const int cause = append_to(file_, line(*last_ + 1) + "\n");
  if (cause == 0) ++*last_;
  if (cause != 0 && !failed_) {
    events_.raise({signals::EventLevel::error, "commands", "audit_failed",
                   file_ + ": decisions on commands can't be recorded: " + std::generic_category().message(cause)});
  }
  failed_ = cause != 0;
}

}  // namespace twinkeeper::app
