#include "app/model_output.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <system_error>

#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "base/durable_file.hpp"

namespace twinkeeper::app {
namespace {

std::string version_of(const std::string& model) {
  static const std::regex key("(^|\\n) +version: *([0-9]+)");
  std::smatch found;
  return std::regex_search(model, found, key) ? found[2].str() : "1";
}

// Copies it beside itself unless it is there already; false if it can't.
bool keep(const std::filesystem::path& file, const std::string& text) {
  const std::string version = version_of(text);
  std::filesystem::path kept;
  for (int count = 1;; ++count) {
    const std::string mark = ".v" + version + (count > 1 ? "." + std::to_string(count) : "");
    kept = file.parent_path() / (file.stem().string() + mark + file.extension().string());
    if (!std::filesystem::exists(kept)) break;
    if (base::content_if_any(kept.string()) == text) return true;
  }
  std::error_code failed;
  std::filesystem::copy_file(file, kept, failed);
  if (!failed) std::cout << "version " << version << " is kept as " << kept.string() << '\n';
  return !failed;
}

}  // namespace

int write_model_file(const std::string& file, const std::string& text) {
  const std::filesystem::path path(file);
  std::error_code failed;
  if (std::filesystem::is_regular_file(path, failed)) {
    const std::string former = base::content_if_any(file);
    if (former == text) return kExitDone;
    if (!keep(path, former)) return told(file + ": what is there can't be kept beside it", kExitIo);
  } else if (std::filesystem::exists(path, failed)) {  // a pipe, a device
    std::ofstream out(path, std::ios::binary);
    out << text << std::flush;
    return out ? kExitDone : told(file + ": can't be written", kExitIo);
  }
  const auto written = base::rewrite_file(file, text, 0644);
  return written ? kExitDone : told(written.error().message(), kExitIo);
}

}  // namespace twinkeeper::app
