#include "config/reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <tuple>
#include <utility>

#include "config/directives.hpp"
#include "config/scalar.hpp"

namespace twinkeeper::config {
namespace {

constexpr std::uintmax_t kMaxFileSize = 1u << 20;

}  // namespace

std::string child_path(const std::string& parent, std::string_view key) {
  return parent.empty() ? std::string(key) : parent + "." + std::string(key);
}

std::string child_path(const std::string& parent, std::size_t index) {
  return parent + "[" + std::to_string(index) + "]";
}

Cursor Cursor::key(const Entry& entry) const {
  return {&entry.value, child_path(path, entry.key), child_path(shown, shorten(entry.key)), note};
}

Cursor Cursor::item(std::size_t index) const {
  return {&node->items[index], child_path(path, index), child_path(shown, index), note};
}

Cursor Cursor::as(std::string other_path) const { return {node, std::move(other_path), shown, note}; }

Placed place(const SourceMap& sources, const base::Issue& issue) {
  Placed placed;
  Diagnostic& diagnostic = placed.diagnostic;
  diagnostic.path = issue.path;
  diagnostic.what = issue.what;
  diagnostic.accepted = issue.accepted;
  std::string prefix = issue.path;
  while (true) {
    const auto found = sources.find(prefix);
    if (found != sources.end()) {
      const Position& position = found->second;
      diagnostic.file = position.file;
      diagnostic.line = position.line;
      diagnostic.column = position.column;
      std::string rest = issue.path.substr(prefix.size());
      if (position.path.empty() && !rest.empty() && rest.front() == '.') rest.erase(0, 1);
      diagnostic.path = position.path + rest;
      placed.note = position.note;
      return placed;
    }
    if (prefix.empty()) return placed;
    const std::size_t cut = prefix.find_last_of(".[");
    prefix.erase(cut == std::string::npos ? 0 : cut);
  }
}

std::optional<Cursor> Reader::open(const std::filesystem::path& file, const Cursor* named_at, const std::string& form) {
  const std::string shown = file.lexically_normal().string();
  const auto refuse = [&](const std::string& what, const std::string& accepted, bool unreadable = true) {
    if (named_at != nullptr) {
      error(*named_at, shown + ": " + what, accepted);
    } else {
      shown_files_.push_back(shown);
      add(errors_, Diagnostic{shown, 0, 0, "", what, accepted, false, unreadable}, "");
    }
    return std::nullopt;
  };
  std::string text;
  if (const auto other = replaced_.find(shown); other != replaced_.end()) {
    text = other->second;
  } else {
    std::error_code code;
    const auto status = std::filesystem::status(file, code);
    if (!std::filesystem::exists(status)) return refuse("no such file", "a file that exists");
    if (!std::filesystem::status_known(status)) return refuse("not readable: " + code.message(), "a readable file");
    if (std::filesystem::is_directory(status)) return refuse("is a directory", "a YAML file");
    if (!std::filesystem::is_regular_file(status)) return refuse("not a regular file", "a YAML file");
    if (std::filesystem::file_size(file, code) > kMaxFileSize)
      return refuse("larger than 1 MiB", "at most 1 MiB", false);
    std::ifstream stream(file, std::ios::binary);
    if (!stream) return refuse(std::string("not readable: ") + std::strerror(errno), "a readable file");
    text.assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  texts_[shown] = text;
  Cursor root;
  if (named_at != nullptr) {
    root.path = named_at->path;
    root.note = used_by(*named_at);
  }
  root.node = parse(shown, std::move(text), root, form);
  if (root.node == nullptr) return std::nullopt;
  root.note.clear();
  record(root);
  return root;
}

Node* Reader::parse(const std::string& shown, std::string text, const Cursor& whole, const std::string& form) {
  shown_files_.push_back(shown);
  const int index = static_cast<int>(shown_files_.size()) - 1;
  if (const auto fault = invalid_utf8(text)) {
    error_at({index, fault->line, fault->column}, whole, "not UTF-8", "UTF-8 text");
    return nullptr;
  }
  for (const DocumentFault& fault : take_directives(text, index)) {
    error_at(fault.mark, whole, fault.what, fault.accepted);
  }
  auto parsed = parse_document(text, index, form);
  if (const auto* fault = std::get_if<DocumentFault>(&parsed)) {
    error_at(fault->mark, whole, fault->what, fault->accepted);
    return nullptr;
  }
  roots_.push_back(std::get<Node>(std::move(parsed)));
  Cursor root{&roots_.back(), whole.path, "", ""};
  inspect(roots_.back(), root);
  return &roots_.back();
}

const Node* Reader::parse_foreign(const std::string& file, const std::string& text) {
  Cursor whole;
  substitutes_ = false;
  const Node* root = parse(file, text, whole, "a mapping");
  substitutes_ = true;
  return root;
}

void Reader::inspect(Node& node, const Cursor& at) {
  if (node.kind == NodeKind::alias) {
    error(at, "an alias", "the value itself, written out");
    node.kind = NodeKind::refused;
    return;
  }
  if (node.anchored) error(at, "an anchor", "the value without &name");
  if (!node.tag.empty()) {
    error(at, "a tag (" + node.tag + ")", "the value without a tag");
    node.kind = NodeKind::refused;
    return;
  }
  if (node.kind == NodeKind::scalar) substitute(node, at);
  for (std::size_t i = 0; i < node.items.size(); ++i) inspect(node.items[i], at.item(i));
  if (node.kind == NodeKind::mapping) inspect_keys(node, at);
}

void Reader::inspect_keys(Node& node, const Cursor& at) {
  std::vector<Entry> kept;
  std::map<std::string, Mark, std::less<>> first;
  for (Entry& entry : node.entries) {
    if (!entry.scalar_key) {
      error_at(entry.mark, at, "a key that is no plain word", "text as a key");
      continue;
    }
    Cursor below = at.key(entry);
    if (entry.key == "<<") {
      error_at(entry.mark, below, "merge keys are not supported", "the keys themselves, written out");
      continue;
    }
    const auto [known, inserted] = first.emplace(entry.key, entry.mark);
    if (!inserted) {
      error_at(entry.mark, below, "duplicate key, first given at line " + std::to_string(known->second.line),
               "each key once");
      continue;
    }
    inspect(entry.value, below);
    kept.push_back(std::move(entry));
  }
  node.entries = std::move(kept);
}

// ${NAME} and ${NAME:-default} (used if NAME is unset or empty); what is put in is not looked at again. $${ is ${.
void Reader::substitute(Node& node, const Cursor& at) {
  static constexpr const char* kSetForm = "${NAME} of a set variable, or ${NAME:-default}";
  static constexpr const char* kForm =
      "${NAME} of a set variable, ${NAME:-default} without another ${, or $${ for the two characters themselves";
  if (!substitutes_) {
    if (node.text.find("${") == std::string::npos) return;
    error(at, "a variable has no meaning here", "the value itself");
    node.kind = NodeKind::refused;
    return;
  }
  std::string out;
  std::size_t from = 0;
  while (true) {
    const std::size_t start = node.text.find("${", from);
    if (start == std::string::npos) break;
    if (start > from && node.text[start - 1] == '$') {
      out.append(node.text, from, start - 1 - from).append("${");
      from = start + 2;
      continue;
    }
    const std::size_t end = node.text.find('}', start);
    if (end == std::string::npos) {
      error(at, "${ without }", kForm);
      node.kind = NodeKind::refused;
      return;
    }
    const std::string inside = node.text.substr(start + 2, end - start - 2);
    if (inside.find("${") != std::string::npos) {
      error(at, quote("${" + inside + "}") + " has a ${ within a ${", kForm);
      node.kind = NodeKind::refused;
      return;
    }
    const std::size_t split = inside.find(":-");
    const std::string name = inside.substr(0, split);
    const bool valid = !name.empty() && name.find_first_not_of(
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                            "0123456789_") == std::string::npos;
    const auto value = environment_.find(name);
    const bool fallback = split != std::string::npos && (value == environment_.end() || value->second.empty());
    if (!valid || (value == environment_.end() && !fallback)) {
      error(at, valid ? "the variable " + name + " is not set" : quote("${" + inside + "}") + " names no variable",
            valid ? kSetForm : kForm);
      node.kind = NodeKind::refused;
      return;
    }
    out.append(node.text, from, start - from);
    out += fallback ? inside.substr(split + 2) : value->second;
    from = end + 1;
    node.substituted = true;
  }
  if (from > 0) node.text = out.append(node.text, from);
}

void Reader::add(std::vector<Found>& to, Diagnostic diagnostic, const std::string& note) {
  const std::string identity = diagnostic.text();
  if (!seen_.insert(identity).second) return;
  if (!note.empty()) diagnostic.what += " (" + note + ")";
  const int file = file_index(diagnostic.file);
  to.push_back({file, std::move(diagnostic)});
}

int Reader::file_index(const std::string& shown) const {
  const auto found = std::find(shown_files_.begin(), shown_files_.end(), shown);
  return static_cast<int>(found - shown_files_.begin());
}

void Reader::error_at(const Mark& mark, const Cursor& at, const std::string& what, const std::string& accepted) {
  Diagnostic diagnostic{shown_files_[static_cast<std::size_t>(mark.file)],
                        mark.line,
                        mark.column,
                        at.shown,
                        what,
                        accepted,
                        false,
                        false};
  add(errors_, std::move(diagnostic), at.note);
}

void Reader::error(const Cursor& at, const std::string& what, const std::string& accepted) {
  error_at(at.node->mark, at, what, accepted);
}

void Reader::error(const std::string& path, const std::string& what, const std::string& accepted) {
  Placed placed = place(sources_, {path, what, accepted});
  add(errors_, std::move(placed.diagnostic), placed.note);
}

void Reader::permission_error(const std::string& path, const std::string& what, const std::string& accepted) {
  Placed placed = place(sources_, {path, what, accepted});
  placed.diagnostic.permission = true;
  add(errors_, std::move(placed.diagnostic), placed.note);
}

void Reader::warn(const std::string& path, const std::string& what) {
  Placed placed = place(sources_, {path, what, ""});
  add(warnings_, std::move(placed.diagnostic), placed.note);
}

void Reader::record(const Cursor& at) {
  const Mark& mark = at.node->mark;
  sources_.insert_or_assign(
      at.path, Position{shown_files_[static_cast<std::size_t>(mark.file)], mark.line, mark.column, at.shown, at.note});
}

std::filesystem::path Reader::resolve_path(const Mark& mark, const std::string& written) const {
  const std::filesystem::path folder =
      std::filesystem::path(shown_files_[static_cast<std::size_t>(mark.file)]).parent_path();
  return (folder / written).lexically_normal();
}

std::string Reader::place_of(const Mark& mark) const {
  return shown_files_[static_cast<std::size_t>(mark.file)] + ":" + std::to_string(mark.line) + ":" +
         std::to_string(mark.column);
}

std::string Reader::place_of(const std::string& path) const {
  const Diagnostic at = place(sources_, {path, "", ""}).diagnostic;
  return at.file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

std::string Reader::used_by(const Cursor& at) const { return "used by " + at.path + " at " + place_of(at.node->mark); }

std::vector<Diagnostic> Reader::by_position(std::vector<Found> found) {
  std::stable_sort(found.begin(), found.end(), [](const Found& left, const Found& right) {
    return std::tie(left.file, left.diagnostic.line, left.diagnostic.column) <
           std::tie(right.file, right.diagnostic.line, right.diagnostic.column);
  });
  std::vector<Diagnostic> out;
  for (Found& entry : found) out.push_back(std::move(entry.diagnostic));
  return out;
}

}  // namespace twinkeeper::config
