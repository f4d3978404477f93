#include "config/document.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cstdint>
#include <exception>
#include <sstream>
#include <utility>

namespace twinkeeper::config {
namespace {

struct Refusal {
  DocumentFault fault;
};

class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string_view text, int file) : text_(text), file_(file) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refusal{{place(mark), "a second document starts here", "one document per file"}};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(make(NodeKind::null, mark, "", anchor)); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    add(make(NodeKind::alias, mark, "", YAML::NullAnchor));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(NodeKind::scalar, mark, tag, anchor);
    node.text = value;
    node.quoted = tag == "!";
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(make(NodeKind::sequence, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(make(NodeKind::mapping, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] Node take() { return std::move(root_); }

 private:
  struct Open {
    Node node;
    bool has_key = false;  // the next value belongs to the last entry
  };

  [[nodiscard]] Mark place(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

  [[nodiscard]] Node make(NodeKind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    Node node;
    node.kind = kind;
    node.mark = place(mark);
    node.anchored = anchor != YAML::NullAnchor;
    // The parser says "!" of a quoted scalar too.
    if (tag != "?" && (tag != "!" || written_at(mark) == '!')) node.tag = tag;
    return node;
  }

  [[nodiscard]] char written_at(const YAML::Mark& mark) const {
    const auto at = static_cast<std::size_t>(mark.pos);
    return mark.pos >= 0 && at < text_.size() ? text_[at] : '\0';
  }

  void open(Node node, const YAML::Mark& mark) {
    if (stack_.size() >= kMaxDepth) {
      throw Refusal{
          {place(mark), "nested too deeply", "at most " + std::to_string(kMaxDepth) + " levels of lists and mappings"}};
    }
    stack_.push_back({std::move(node), false});
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == NodeKind::sequence) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.has_key) {
      parent.node.entries.back().value = std::move(node);
      parent.has_key = false;
    } else {
      Entry entry;
      entry.key = node.text;
      entry.mark = node.mark;
      entry.scalar_key = node.kind == NodeKind::scalar && !node.anchored && node.tag.empty();
      parent.node.entries.push_back(std::move(entry));
      parent.has_key = true;
    }
  }

  std::string_view text_;  // as the parser counts it: without a byte order mark
  int file_;
  int documents_ = 0;
  Node root_;
  std::vector<Open> stack_;
};

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  static constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
  return text;
}

std::variant<Node, DocumentFault> parse_document(std::string_view text, int file, const std::string& form) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder(without_byte_order_mark(text), file);
    if (!parser.HandleNextDocument(builder)) return DocumentFault{{file, 0, 0}, "the file is empty", form};
    Node root = builder.take();
    while (parser.HandleNextDocument(builder)) {
    }
    return root;
  } catch (const Refusal& refusal) {
    return refusal.fault;
  } catch (const YAML::Exception& error) {
    const Mark mark = error.mark.is_null() ? Mark{file, 0, 0} : Mark{file, error.mark.line + 1, error.mark.column + 1};
    return DocumentFault{mark, "not valid YAML: " + error.msg, "YAML 1.2"};
  } catch (const std::exception& error) {
    return DocumentFault{{file, 0, 0}, std::string("not valid YAML: ") + error.what(), "YAML 1.2"};
  }
}

std::optional<Mark> invalid_utf8(std::string_view text) {
  Mark mark{0, 1, 1};
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    bool good = length > 0 && at + length <= text.size() && (lead >= 0x20 || lead == 9 || lead == 10 || lead == 13);
    std::uint32_t code = length < 2 ? lead : lead & (0x7fU >> length);
    for (std::size_t i = 1; good && i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      good = (next & 0xc0U) == 0x80U;
      code = code << 6 | (next & 0x3fU);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (!good || overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return mark;
    mark.column = lead == '\n' ? 1 : mark.column + 1;
    if (lead == '\n') ++mark.line;
    at += length;
  }
  return std::nullopt;
}

const Entry* find(const Node& mapping, std::string_view key) {
  for (const Entry& entry : mapping.entries) {
    if (entry.scalar_key && entry.key == key) return &entry;
  }
  return nullptr;
}

}  // namespace twinkeeper::config
