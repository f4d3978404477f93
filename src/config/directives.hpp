// Directives of a YAML file: `%YAML 1.2` is the only one that is accepted.
#pragma once

#include <string>
#include <vector>

#include "config/document.hpp"

namespace twinkeeper::config {

// Turns every directive into a comment, so that the parser acts on none and goes on to what follows. Refused are all
// but one `%YAML 1.2` before the document, and a document that does not start with --- after it.
[[nodiscard]] std::vector<DocumentFault> take_directives(std::string& text, int file);

}  // namespace twinkeeper::config
