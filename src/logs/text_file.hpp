// A text file line by line, unpacked on the way if it is gzip.
//
// Lines end with \n or \r\n; the last may lack its end. A byte order mark of UTF-8 at the beginning is passed over.
// Errors: not_found, io; corrupt (damaged gzip, a line beyond 1 MiB). Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::logs {

class TextFile {
 public:
  [[nodiscard]] static base::Result<TextFile> open(const std::string& file);

  // The next line without its end, valid until the next call; nothing at the end of the file.
  [[nodiscard]] base::Result<std::optional<std::string_view>> next();
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint64_t line() const { return line_; }  // number of the newest, from 1

 private:
  struct Closer {
    void operator()(void* file) const noexcept;
  };
  TextFile(std::string name, void* file);
  base::Status fill();

  std::string name_;
  std::unique_ptr<void, Closer> file_;  // a gzFile
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what of the buffer has not been given yet
  bool at_end_ = false;
  std::uint64_t line_ = 0;
};

}  // namespace twinkeeper::logs
