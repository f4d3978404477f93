#include "config/directives.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::config;

namespace {

// "line what"
std::vector<std::string> faults_in(std::string text) {
  std::vector<std::string> out;
  for (const auto& fault : take_directives(text, 0)) out.push_back(std::to_string(fault.mark.line) + " " + fault.what);
  return out;
}

}  // namespace

TEST_CASE("take_directives accepts %YAML 1.2 with a document start and keeps every position") {
  for (std::string text :
       {std::string("%YAML 1.2\n---\na: 1\n"), std::string("\xef\xbb\xbf%YAML  1.2 # so\r\n--- \r\na: 1\r\n"),
        std::string("# c\n\n%YAML 1.2\n# d\n--- # e\na: 1\n"), std::string("a: 1\n"), std::string("---\na: 1\n...\n"),
        std::string("a: 1\nb: |\n  %YAML 1.1\n"), std::string(), std::string("\n"), std::string("%YAML 1.2")}) {
    INFO(text);
    const std::size_t size = text.size();
    CHECK(take_directives(text, 0).empty());
    CHECK(text.size() == size);
    if (text.find("a: 1") == std::string::npos) continue;
    const auto parsed = parse_document(text, 0);
    REQUIRE(std::holds_alternative<Node>(parsed));
    CHECK(find(std::get<Node>(parsed), "a") != nullptr);
  }
}

TEST_CASE("take_directives refuses every other directive at its line") {
  using Faults = std::vector<std::string>;
  CHECK(faults_in("%YAML 1.1\n---\n") == Faults{"1 the directive \"%YAML 1.1\""});
  CHECK(faults_in("%YAML 1.2\n%YAML 1.2\n---\n") == Faults{"2 the directive \"%YAML 1.2\" a second time"});
  CHECK(faults_in("\n# c\r\n%TAG ! tag:x,1:\r\n---\r\n") == Faults{"3 the directive \"%TAG ! tag:x,1:\""});
  CHECK(faults_in("a: 1\n...\n%YAML 1.1\n") == Faults{"3 the directive \"%YAML 1.1\""});
  CHECK(faults_in("%\n---\n") == Faults{"1 the directive \"%\""});
  CHECK(faults_in("%YAML 1.2\na: 1\n") == Faults{"2 a document without --- after a directive"});
}

TEST_CASE("take_directives refuses directives within a document") {
  using Faults = std::vector<std::string>;
  CHECK(faults_in("a: 1\n%YAML 1.1\n") == Faults{"2 the directive \"%YAML 1.1\""});
  CHECK(faults_in("a: 1\n%YAML 1.2\nb: 2\n") == Faults{"2 the directive \"%YAML 1.2\" within the document"});
  CHECK(faults_in("a: 1\n...\n%YAML 1.2\n").empty());
}
