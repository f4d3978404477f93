// Files that are replaced as a whole or not at all, whenever the power goes: written beside as *.new, synced, renamed,
// the folder synced. Mode 0600. A link in the place of *.new is not followed; what could not be written leaves no
// *.new. Errors: not_found, permission_denied, io. Thread rule: free functions. Allocates.
#pragma once

#include <string>
#include <string_view>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::base {

[[nodiscard]] Status replace_file(const std::string& path, std::string_view content);

// "what: No such file or directory", with the code that the errno stands for.
[[nodiscard]] Error system_error(const std::string& what, int number);

}  // namespace twinkeeper::base
