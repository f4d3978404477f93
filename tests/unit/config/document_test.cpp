#include "config/document.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::config;

namespace {

Node tree(const char* text) {
  auto parsed = parse_document(text, 0);
  REQUIRE(std::holds_alternative<Node>(parsed));
  return std::get<Node>(std::move(parsed));
}

}  // namespace

TEST_CASE("parse_document keeps the position of every key and value") {
  const Node root = tree("a: 1\nb:\n  - x\n  - {c: \"2\"}\n");
  REQUIRE(root.entries.size() == 2);
  CHECK(root.entries[0].value.mark.line == 1);
  CHECK(root.entries[0].value.mark.column == 4);
  const Node& list = root.entries[1].value;
  REQUIRE(list.items.size() == 2);
  CHECK(list.items[0].mark.line == 3);
  CHECK(list.items[0].mark.column == 5);
  CHECK(list.items[1].entries[0].mark.column == 6);
  CHECK(list.items[1].entries[0].value.quoted);
  CHECK_FALSE(list.items[0].quoted);
}

TEST_CASE("parse_document shows duplicate keys and anchors and aliases and tags") {
  const Node root = tree("a: &x 1\na: *x\nb: !!int 3\n");
  REQUIRE(root.entries.size() == 3);
  CHECK(root.entries[0].key == root.entries[1].key);
  CHECK(root.entries[0].value.anchored);
  CHECK(root.entries[1].value.kind == NodeKind::alias);
  CHECK(root.entries[2].value.tag == "tag:yaml.org,2002:int");
}

TEST_CASE("parse_document tells the tag ! from quotes wherever it stands") {
  for (const char* before : {"", "\xef\xbb\xbf", "# °C\r\n", "# 🙂\n\n---\n", "é: 'ü'\n"}) {
    INFO(before);
    const std::string text =
        std::string(before) + "a: ! x\nb: \"!\"\nc: '!'\nd: !\ne: ! [1]\nf: ! \"x\"\ng: |\n  !\n! h: 1\n";
    const Node root = tree(text.c_str());
    const auto tag = [&](const char* key) {
      const Entry* entry = find(root, key);
      return entry == nullptr ? "absent" : entry->value.tag;
    };
    for (const char* key : {"a", "d", "e", "f"}) {
      INFO(key);
      CHECK(tag(key) == "!");
    }
    for (const char* key : {"b", "c", "g"}) {
      INFO(key);
      CHECK(tag(key).empty());
      CHECK(find(root, key)->value.quoted);
    }
    CHECK(tag("h") == "absent");  // a tagged key is no plain word
  }
}

TEST_CASE("parse_document refuses brackets without end and deep nesting with a position") {
  for (const std::string& text : {std::string("a: [1"), std::string(100'000, '['), std::string("a: 'x")}) {
    const auto parsed = parse_document(text, 0);
    REQUIRE(std::holds_alternative<DocumentFault>(parsed));
    CHECK(std::get<DocumentFault>(parsed).mark.line == 1);
  }
}

TEST_CASE("invalid_utf8 points at the first wrong byte") {
  CHECK_FALSE(invalid_utf8("unit: °C\nname: 雪 🙂\n").has_value());
  const auto wrong = invalid_utf8("a: ä\nb: \xe9\n");
  REQUIRE(wrong.has_value());
  CHECK(wrong->line == 2);
  CHECK(wrong->column == 4);
  for (const std::string& text : {std::string("\xc0\xaf"), std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
                                  std::string("\xe2\x82"), std::string("a\0b", 3), std::string("\xff\xfe")}) {
    CHECK(invalid_utf8(text).has_value());
  }
}
