#include "app/file_change.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/durable_file.hpp"

namespace twinkeeper::app {
namespace {

// Without text: not there.
base::Status replace(const std::string& file, const std::string& text) {
  if (text.empty()) {
    if (::unlink(file.c_str()) == 0 || errno == ENOENT) return base::Success{};
    return base::system_error(file, errno);
  }
  auto replaced = base::rewrite_file(file, text, 0600);
  if (!replaced) return std::move(replaced).error().with_context(file);
  return replaced;
}

}  // namespace

base::Status FileChange::put() {
  for (const auto& [file, text] : files_) {
    auto before = base::content_of(file);
    const bool existed = before.ok();
    base::Status put = base::Success{};
    if (!existed && before.error().code() != base::ErrorCode::not_found) put = before.error();
    if (put) before_[file] = existed ? std::optional(before.value()) : std::nullopt;
    if (put && existed && !text.empty()) put = replace(file + ".before", before.value());
    if (put) put = replace(file, text);
    if (!put) {
      put_back();
      return put;
    }
  }
  return base::Success{};
}

void FileChange::put_back() {
  for (const auto& [file, text] : before_) {
    static_cast<void>(replace(file, text.value_or("")));
    ::unlink((file + ".before").c_str());
  }
  before_.clear();
}

std::string kept_aside(const std::string& file, const char* end) {
  const std::string aside = file + end;
  return std::rename(file.c_str(), aside.c_str()) == 0 ? ", the file is kept as " + aside : "";
}

}  // namespace twinkeeper::app
