#include "app/audit_trail.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <string_view>

#include "base/durable_file.hpp"

namespace twinkeeper::app {
namespace {

constexpr off_t kMostTrailBytes = 1 << 20;

base::Status append_to(const std::string& file, const std::string& text) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && status.st_size > 0 &&
      status.st_size + static_cast<off_t>(text.size()) > kMostTrailBytes) {
    if (std::rename(file.c_str(), (file + ".1").c_str()) != 0) return base::system_error(file, errno);
  }
  auto appended = base::append_to_file(file, text);
  if (!appended && appended.error().code() == base::ErrorCode::not_found) return base::replace_file(file, text);
  return appended;
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
  const base::Status appended = append_to(file_, line(*last_ + 1) + "\n");
  if (appended) ++*last_;
  if (!appended && !failed_) {
    events_.raise({signals::EventLevel::error, "commands", "audit_failed",
                   "decisions on commands can't be recorded: " + appended.error().message()});
  }
  failed_ = !appended;
}

}  // namespace twinkeeper::app
