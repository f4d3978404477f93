// The model files that commands write.
//
// Errors: told on standard error; nothing is half written, and the file that was there is there still.
#pragma once

#include <string>

namespace twinkeeper::app {

// Writes the whole file; one that is there already and differs is kept beside it: tanks.yaml of version 3 as
// tanks.v3.yaml (tanks.v3.2.yaml if that is taken), which is told on standard output. An exit code.
[[nodiscard]] int write_model_file(const std::string& file, const std::string& text);

}  // namespace twinkeeper::app
