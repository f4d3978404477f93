// The state of one load: files read so far, all faults found, the position of every value.
//
// Nothing here stops at a fault; readers report it and leave their target as it was. A value is named by two paths:
// `path` from the configuration's root (twins[0].model.A), and `shown`, the path within the file it stands in
// (model.A).
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/document.hpp"

namespace twinkeeper::config {

struct Cursor {
  const Node* node = nullptr;
  std::string path;
  std::string shown;
  std::string note;

  [[nodiscard]] Cursor key(const Entry& entry) const;
  [[nodiscard]] Cursor item(std::size_t index) const;
  // The same value under another path from the root.
  [[nodiscard]] Cursor as(std::string other_path) const;
};

[[nodiscard]] std::string child_path(const std::string& parent, std::string_view key);
[[nodiscard]] std::string child_path(const std::string& parent, std::size_t index);

struct Placed {
  Diagnostic diagnostic;
  std::string note;
};
// By the longest known prefix of the issue's path; the rest of the path is kept behind it.
[[nodiscard]] Placed place(const SourceMap& sources, const base::Issue& issue);

class Reader {
 public:
  explicit Reader(const Environment& environment, const std::map<std::string, std::string>& replaced = {})
      : environment_(environment), replaced_(replaced) {}

  // Reads, parses and inspects a file. `named_at`: the value that named it, absent for the configuration itself.
  // `form`: what the file should hold, for the error of an empty one.
  // The returned cursor has the path of `named_at` and is shown as the root of its own file; null after a fault.
  [[nodiscard]] std::optional<Cursor> open(const std::filesystem::path& file, const Cursor* named_at,
                                           const std::string& form = "a mapping");

  // Parses and inspects a text that came from elsewhere and is shown as `file`; nothing of it is recorded, and ${NAME}
  // is refused in it. Null after a fault.
  [[nodiscard]] const Node* parse_foreign(const std::string& file, const std::string& text);
  // The tree of the file that was opened first, to be changed before it is read.
  [[nodiscard]] Node& root() { return roots_.front(); }

  void error(const Cursor& at, const std::string& what, const std::string& accepted);
  // At the position of the longest known prefix of `path`.
  void error(const std::string& path, const std::string& what, const std::string& accepted);
  void error_at(const Mark& mark, const Cursor& at, const std::string& what, const std::string& accepted);
  void permission_error(const std::string& path, const std::string& what, const std::string& accepted);
  void warn(const std::string& path, const std::string& what);

  // Remembers where the value of at.path stands.
  void record(const Cursor& at);

  // Whether a value of that path was written.
  [[nodiscard]] bool has(const std::string& path) const { return sources_.count(path) != 0; }

  // The path written at a node, relative to the file it stands in.
  [[nodiscard]] std::filesystem::path resolve_path(const Mark& mark, const std::string& written) const;
  // "file:line:column"
  [[nodiscard]] std::string place_of(const Mark& mark) const;
  // The same, of the longest known prefix of `path`.
  [[nodiscard]] std::string place_of(const std::string& path) const;
  // "used by devices[1].registers at config.yaml:6:16", of what stands elsewhere.
  [[nodiscard]] std::string used_by(const Cursor& at) const;

  [[nodiscard]] std::size_t errors() const { return errors_.size(); }
  [[nodiscard]] const SourceMap& sources() const { return sources_; }
  // Of the files that were opened, by their names as shown; they leave the reader.
  [[nodiscard]] std::map<std::string, std::string> take_texts() { return std::move(texts_); }
  // In the order of files and positions; they leave the reader.
  [[nodiscard]] std::vector<Diagnostic> take_errors() { return by_position(std::move(errors_)); }
  [[nodiscard]] std::vector<Diagnostic> take_warnings() { return by_position(std::move(warnings_)); }

 private:
  struct Found {
    int file;
    Diagnostic diagnostic;
  };
  [[nodiscard]] static std::vector<Diagnostic> by_position(std::vector<Found> found);
  void add(std::vector<Found>& to, Diagnostic diagnostic, const std::string& note);
  // One more tree, inspected; null after a fault.
  [[nodiscard]] Node* parse(const std::string& shown, std::string text, const Cursor& whole, const std::string& form);
  void inspect(Node& node, const Cursor& at);
  void inspect_keys(Node& node, const Cursor& at);
  void substitute(Node& node, const Cursor& at);
  [[nodiscard]] int file_index(const std::string& shown) const;

  const Environment& environment_;
  const std::map<std::string, std::string> replaced_;
  bool substitutes_ = true;
  std::vector<std::string> shown_files_;
  std::deque<Node> roots_;
  std::vector<Found> errors_;
  std::vector<Found> warnings_;
  std::set<std::string> seen_;  // a fault of a register set is told once, however many devices use it
  SourceMap sources_;
  std::map<std::string, std::string> texts_;
};

}  // namespace twinkeeper::config
