// One YAML file as a tree of plain values, each with its position. The only place that includes yaml-cpp is
// document.cpp; it uses the library's events, not its nodes, because events show duplicate keys, anchors and tags.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace twinkeeper::config {

struct Mark {
  int file = 0;  // index in the reader's list of files
  int line = 0;  // 1-based; 0: the file as a whole
  int column = 0;
};

enum class NodeKind { null, scalar, sequence, mapping, alias, refused };

struct Entry;

struct Node {
  NodeKind kind = NodeKind::null;
  Mark mark;
  std::string text;          // scalar
  bool quoted = false;       // scalar in quotes or as a block: never a number or boolean
  bool substituted = false;  // scalar that contained ${NAME}: its type is decided by where it stands
  bool anchored = false;
  std::string tag;  // explicit tag, empty if none
  std::vector<Node> items;
  std::vector<Entry> entries;
};

struct Entry {
  std::string key;
  Mark mark;
  bool scalar_key = true;
  Node value;
};

struct DocumentFault {
  Mark mark;
  std::string what;
  std::string accepted;
};

inline constexpr int kMaxDepth = 32;

// The tree, or the first thing that makes the text no single YAML document. `form`: what is accepted in place of an
// empty file. Recursion is bounded by kMaxDepth.
[[nodiscard]] std::variant<Node, DocumentFault> parse_document(std::string_view text, int file,
                                                               const std::string& form = "a mapping");

[[nodiscard]] std::string_view without_byte_order_mark(std::string_view text);

// Where the text stops being UTF-8 (overlong forms, surrogates and control characters that YAML excludes count as not).
[[nodiscard]] std::optional<Mark> invalid_utf8(std::string_view text);

// The value of `key`, or null.
[[nodiscard]] const Entry* find(const Node& mapping, std::string_view key);

}  // namespace twinkeeper::config
