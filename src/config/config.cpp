#include "config/config.hpp"

#include <unistd.h>

#include <array>

#include "config/reader.hpp"
#include "config/scalar.hpp"

namespace twinkeeper::config {

std::string Diagnostic::text() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  if (!out.empty()) out += ": ";
  if (!path.empty()) out += path + ": ";
  out += what;
  if (!accepted.empty()) out += "; accepted: " + accepted;
  return in_one_line(out);  // names of files and keys can hold anything
}

Diagnostic Config::locate(const base::Issue& issue) const {
  Placed placed = place(sources, issue);
  if (!placed.note.empty()) placed.diagnostic.what += " (" + placed.note + ")";
  return std::move(placed.diagnostic);
}

Environment process_environment() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t split = text.find('=');
    if (split != std::string::npos) out.emplace(text.substr(0, split), text.substr(split + 1));
  }
  std::array<char, 256> host{};
  if (out.find("HOSTNAME") == out.end() && ::gethostname(host.data(), host.size() - 1) == 0) {
    out.emplace("HOSTNAME", host.data());
  }
  return out;
}

}  // namespace twinkeeper::config
