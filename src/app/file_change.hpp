// Several files replaced together, each as a whole, and put back if what follows fails. A file that is replaced is kept
// beside as FILE.before; an empty text removes the file.
// Errors: io, permission_denied, not_found, naming the file; then all are as they were. Thread rule: one thread.
// Waits for the disk.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

class FileChange {
 public:
  explicit FileChange(const std::map<std::string, std::string>& files) : files_(files) {}

  [[nodiscard]] base::Status put();
  void put_back();

 private:
  const std::map<std::string, std::string> files_;
  std::map<std::string, std::optional<std::string>> before_;  // of those that are replaced; nothing: there was none
};

// Moves `file` out of the way: it gets the name `file` + `end`. Where it is now, for the end of a sentence that says what is
// wrong with it; empty: it could not be moved.
[[nodiscard]] std::string kept_aside(const std::string& file, const char* end);

}  // namespace twinkeeper::app
