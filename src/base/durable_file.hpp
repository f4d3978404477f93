// Files that the power may go away from at any moment. Errors: not_found, permission_denied, io, naming the file.
// Thread rule: free functions. Allocates. Waits for the disk.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::base {

// As a whole or not at all: written beside as *.new, synced, renamed, the folder synced. Mode 0600. A link in the place
// of *.new is not followed; what could not be written leaves no *.new.
[[nodiscard]] Status replace_file(const std::string& path, std::string_view content);
// The same, but who may read it does not change; a file that was not there gets `mode`, less the umask.
[[nodiscard]] Status rewrite_file(const std::string& path, std::string_view content, unsigned mode);
// Adds to the end of a file that is there, and syncs. A link is not followed; of what could not be written whole
// nothing stays, unless the power goes just then.
[[nodiscard]] Status append_to_file(const std::string& path, std::string_view text);
// All that is in it.
[[nodiscard]] Result<std::string> content_of(const std::string& path);
// Nothing, if it can't be read.
[[nodiscard]] inline std::string content_if_any(const std::string& path) {
  auto content = content_of(path);
  return content ? std::move(content).value() : std::string();
}

// Whatever pieces the kernel takes it in. False: errno says why.
[[nodiscard]] bool write_all(int descriptor, std::string_view text);

// "what: No such file or directory", with the code that the errno stands for.
[[nodiscard]] Error system_error(const std::string& what, int number);

}  // namespace twinkeeper::base
