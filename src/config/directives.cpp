#include "config/directives.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "config/scalar.hpp"

namespace twinkeeper::config {
namespace {

bool is_marker(std::string_view line, std::string_view marker) {
  return line.substr(0, 3) == marker && (line.size() == 3 || line[3] == ' ' || line[3] == '\t');
}

bool is_blank(std::string_view line) {
  const std::size_t start = line.find_first_not_of(" \t");
  return start == std::string_view::npos || line[start] == '#';
}

// "%YAML 1.2" from "%YAML  1.2  # comment"
std::string words_of(std::string_view directive) {
  std::string out;
  std::istringstream words{std::string(directive)};
  for (std::string word; words >> word && word.front() != '#';) out += (out.empty() ? "" : " ") + word;
  return out;
}

class Directives {
 public:
  explicit Directives(int file) : file_(file) {}

  // True if the line is a directive.
  bool take(std::string_view line) {
    ++number_;
    const bool is_directive = !line.empty() && line.front() == '%';
    if (is_directive) {
      judge(words_of(line));
    } else if (within_document_) {
      within_document_ = !is_marker(line, "...");
    } else if (!is_blank(line)) {
      if (version_given_ && !is_marker(line, "---")) {
        add("a document without --- after a directive", "--- between %YAML 1.2 and the document");
      }
      within_document_ = true;
    }
    return is_directive;
  }

  [[nodiscard]] std::vector<DocumentFault> faults() && { return std::move(faults_); }

 private:
  void judge(const std::string& directive) {
    static constexpr const char* kAccepted = "%YAML 1.2, or no directive";
    const bool version = directive == "%YAML 1.2";
    if (!version) {
      add("the directive " + quote(directive), kAccepted);
    } else if (within_document_) {
      add("the directive " + quote(directive) + " within the document", "%YAML 1.2 before the document");
    } else if (version_given_) {
      add("the directive " + quote(directive) + " a second time", kAccepted);
    }
    version_given_ = version_given_ || version;
  }

  void add(std::string what, std::string accepted) {
    faults_.push_back({{file_, number_, 1}, std::move(what), std::move(accepted)});
  }

  int file_;
  int number_ = 0;
  bool within_document_ = false;
  bool version_given_ = false;
  std::vector<DocumentFault> faults_;
};

}  // namespace

std::vector<DocumentFault> take_directives(std::string& text, int file) {
  Directives directives(file);
  std::size_t next = 0;
  for (std::size_t start = text.size() - without_byte_order_mark(text).size(); start < text.size(); start = next) {
    const std::size_t end = std::min(text.find_first_of("\r\n", start), text.size());
    next = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
    if (directives.take(std::string_view(text).substr(start, end - start))) text[start] = '#';
  }
  return std::move(directives).faults();
}

}  // namespace twinkeeper::config
