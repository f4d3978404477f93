#include "config/condition.hpp"

#include <random>

#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using Kind = acquisition::ConditionPart::Kind;

std::optional<signals::TagIndex> find_tag(const std::string& name) {
  if (name == "plc.a") return 1;
  if (name == "plc.b") return 2;
  return std::nullopt;
}

// As text again, fully bracketed.
std::string shown(std::string_view text) {
  const auto parsed = config::parse_condition(text, find_tag);
  if (!parsed.ok()) return "fault: " + parsed.error().message();
  std::vector<std::string> stack;
  for (const auto& part : parsed.value()) {
    const auto number = std::to_string(static_cast<int>(part.number));
    const std::string tag = part.tag == 1 ? "a" : "b";
    switch (part.kind) {
      case Kind::less: stack.push_back(tag + "<" + number); break;
      case Kind::less_equal: stack.push_back(tag + "<=" + number); break;
      case Kind::greater: stack.push_back(tag + ">" + number); break;
      case Kind::greater_equal: stack.push_back(tag + ">=" + number); break;
      case Kind::equal: stack.push_back(tag + "==" + number); break;
      case Kind::not_equal: stack.push_back(tag + "!=" + number); break;
      case Kind::negation: stack.back() = "!(" + stack.back() + ")"; break;
      default: {
        const std::string right = stack.back();
        stack.pop_back();
        stack.back() = "(" + stack.back() + (part.kind == Kind::both ? "&" : "|") + right + ")";
      }
    }
  }
  REQUIRE(stack.size() == 1);
  return stack.back();
}

}  // namespace

TEST_CASE("a condition binds not before and before or") {
  CHECK(shown("plc.a > 1") == "a>1");
  CHECK(shown("plc.a>-1") == "a>-1");
  CHECK(shown("5 >= plc.b") == "b<=5");
  CHECK(shown("plc.a == 1 or plc.a == 2 and not plc.b != 3") == "(a==1|(a==2&!(b!=3)))");
  CHECK(shown("(plc.a == 1 or plc.a == 2) and plc.b < 3") == "((a==1|a==2)&b<3)");
  CHECK(shown("not (plc.a == 1 or plc.b <= 2)") == "!((a==1|b<=2))");
  CHECK(shown("plc.a > 1 and plc.a > 2 and plc.a > 3") == "((a>1&a>2)&a>3)");
}

TEST_CASE("a faulty condition says what stands where") {
  CHECK(shown("") == "fault: ends where a tag DEVICE.REGISTER or a number should be");
  CHECK(shown("plc.a >") == "fault: ends where a tag DEVICE.REGISTER or a number should be");
  CHECK(shown("plc.a") == "fault: ends where one of < <= > >= == != should be");
  CHECK(shown("plc.a > 1 or") == "fault: ends where a tag DEVICE.REGISTER or a number should be");
  CHECK(shown("plc.a > 1 plc.b > 1") == "fault: has \"plc.b\" where and, or, or the end should be");
  CHECK(shown("(plc.a > 1") == "fault: ends where ) should be");
  CHECK(shown("plc.a & 1") == "fault: has \"&\" where one of < <= > >= == != should be");
  CHECK(shown("plc.c > 1") == "fault: \"plc.c\" is no tag with a number");
  CHECK(shown("plc.a > plc.b") == "fault: compares two tags; a tag is compared with a number");
  CHECK(shown("1 > 2") == "fault: compares two numbers; a tag is compared with a number");
  CHECK(shown("plc.a > inf").substr(0, 6) == "fault:");
  CHECK(shown(std::string(1000, '(')) == "fault: is nested too deeply");
}

TEST_CASE("arbitrary text is a condition or a fault") {
  std::mt19937_64 random(3);
  const std::vector<std::string> words{"plc.a", "plc.b", "1", "-2.5", "<", "<=", "==", "and", "or", "not", "(", ")", "x", "="};
  for (int k = 0; k < 20'000; ++k) {
    std::string text;
    for (std::size_t n = random() % 12; n > 0; --n) text += words[random() % words.size()] + (random() % 2 ? " " : "");
    CHECK_FALSE(shown(text).empty());
  }
}
