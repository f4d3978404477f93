#include "logs/text_file.hpp"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace twinkeeper::logs {
namespace {

constexpr std::size_t kLongestLine = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

void TextFile::Closer::operator()(void* file) const noexcept { gzclose(static_cast<gzFile>(file)); }

TextFile::TextFile(std::string name, void* file) : name_(std::move(name)), file_(file), buffer_(2 * kLongestLine) {}

base::Result<TextFile> TextFile::open(const std::string& file) {
  errno = 0;
  gzFile opened = gzopen(file.c_str(), "rbe");
  if (opened == nullptr) {
    const int cause = errno;
    return base::Error(cause == ENOENT ? base::ErrorCode::not_found : base::ErrorCode::io,
                       file + ": " + std::generic_category().message(cause));
  }
  return TextFile(file, opened);
}

base::Status TextFile::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    return base::Error(base::ErrorCode::corrupt, name_ + ":" + std::to_string(line_ + 1) +
                                                     ": the line does not end within 1 MiB; accepted: lines of text");
  }
  errno = 0;
  gzFile file = static_cast<gzFile>(file_.get());
  const int got = gzread(file, buffer_.data() + end_, static_cast<unsigned>(buffer_.size() - end_));
  const int cause = errno;
  int state = Z_OK;
  const char* what = gzerror(file, &state);
  if (got < 0 || (state != Z_OK && state != Z_STREAM_END)) {
    if (state == Z_ERRNO || (got < 0 && state == Z_OK)) {
      return base::Error(base::ErrorCode::io, name_ + ": " + std::generic_category().message(cause));
    }
    return base::Error(base::ErrorCode::corrupt, name_ + ": damaged gzip file: " + what);
  }
  at_end_ = got == 0;
  end_ += static_cast<std::size_t>(got);
  if (line_ == 0 && std::string_view(buffer_.data(), end_).substr(0, 3) == kByteOrderMark) begin_ = 3;
  return base::Success{};
}

base::Result<std::optional<std::string_view>> TextFile::next() {
  std::size_t searched = 0;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const auto* found = static_cast<const char*>(std::memchr(from + searched, '\n', size - searched));
    if (found == nullptr && !at_end_) {
      searched = size;
      if (auto status = fill(); !status.ok()) return status.error();
      if (line_ == 0 && begin_ == 3) searched = 0;
      continue;
    }
    if (found == nullptr && size == 0) return std::optional<std::string_view>{};
    std::string_view line(from, found != nullptr ? static_cast<std::size_t>(found - from) : size);
    begin_ += line.size() + (found != nullptr ? 1 : 0);
    ++line_;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return std::optional<std::string_view>{line};
  }
}

}  // namespace twinkeeper::logs
