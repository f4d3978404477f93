#include "config/condition.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace twinkeeper::config {
namespace {

using acquisition::Condition;
using Kind = acquisition::ConditionPart::Kind;

constexpr int kMostNested = 32;

struct Comparison {
  std::string_view sign;
  Kind kind;
  Kind turned;  // with the sides exchanged
};
constexpr std::array<Comparison, 6> kComparisons{{{"<=", Kind::less_equal, Kind::greater_equal},
                                                  {">=", Kind::greater_equal, Kind::less_equal},
                                                  {"==", Kind::equal, Kind::equal},
                                                  {"!=", Kind::not_equal, Kind::not_equal},
                                                  {"<", Kind::less, Kind::greater},
                                                  {">", Kind::greater, Kind::less}}};

bool is_word(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '+' || c == '-';
}

class Parser {
 public:
  using FindTag = std::function<std::optional<signals::TagIndex>(const std::string&)>;
  Parser(std::string_view text, const FindTag& find_tag) : rest_(text), find_tag_(find_tag) { next(); }

  base::Result<Condition> parse() {
    either(0);
    if (fault_.empty() && !token_.empty()) expected("and, or, or the end");
    if (!fault_.empty()) return base::Error(base::ErrorCode::invalid_argument, fault_);
    return std::move(out_);
  }

 private:
  void next() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    std::size_t size = 0;
    while (size < rest_.size() && is_word(rest_[size])) ++size;
    if (size == 0 && !rest_.empty()) {
      const auto sign = std::find_if(kComparisons.begin(), kComparisons.end(),
                                     [&](const auto& c) { return rest_.substr(0, c.sign.size()) == c.sign; });
      size = sign != kComparisons.end() ? sign->sign.size() : 1;
    }
    token_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  bool take(std::string_view word) {
    if (token_ != word) return false;
    next();
    return true;
  }
  void expected(const std::string& what) {
    if (fault_.empty()) {
      fault_ = (token_.empty() ? std::string("ends") : "has \"" + std::string(token_) + "\"") + " where " + what +
               " should be";
    }
  }

  void either(int nested) {
    both(nested);
    while (fault_.empty() && take("or")) {
      both(nested);
      out_.push_back({Kind::either, 0, 0.0});
    }
  }
  void both(int nested) {
    factor(nested);
    while (fault_.empty() && take("and")) {
      factor(nested);
      out_.push_back({Kind::both, 0, 0.0});
    }
  }
  void factor(int nested) {
    if (!fault_.empty()) return;
    if (nested > kMostNested) {
      fault_ = "is nested too deeply";
    } else if (take("not")) {
      factor(nested + 1);
      out_.push_back({Kind::negation, 0, 0.0});
    } else if (take("(")) {
      either(nested + 1);
      if (!take(")")) expected(")");
    } else {
      comparison();
    }
  }
  void comparison() {
    const Side left = side();
    if (!fault_.empty()) return;
    const auto sign =
        std::find_if(kComparisons.begin(), kComparisons.end(), [&](const auto& c) { return c.sign == token_; });
    if (sign == kComparisons.end()) return expected("one of < <= > >= == !=");
    next();
    const Side right = side();
    if (!fault_.empty()) return;
    if (left.tag.has_value() == right.tag.has_value()) {
      fault_ = "compares " + std::string(left.tag ? "two tags" : "two numbers") + "; a tag is compared with a number";
      return;
    }
    out_.push_back(left.tag ? acquisition::ConditionPart{sign->kind, *left.tag, right.number}
                            : acquisition::ConditionPart{sign->turned, *right.tag, left.number});
  }

  struct Side {
    std::optional<signals::TagIndex> tag;
    double number = 0.0;
  };
  Side side() {
    Side out;
    const char* end = token_.data() + token_.size();
    const auto [stop, error] = std::from_chars(token_.data(), end, out.number);
    if (!token_.empty() && error == std::errc{} && stop == end && std::isfinite(out.number)) {
      next();
      return out;
    }
    if (token_.empty() || !is_word(token_.front()) || token_.find('.') == std::string_view::npos) {
      expected("a tag DEVICE.REGISTER or a number");
      return out;
    }
    out.tag = find_tag_(std::string(token_));
    if (!out.tag && fault_.empty()) fault_ = "\"" + std::string(token_) + "\" is no tag with a number";
    next();
    return out;
  }

  std::string_view rest_;
  const FindTag& find_tag_;
  std::string_view token_;
  Condition out_;
  std::string fault_;
};

}  // namespace

base::Result<Condition> parse_condition(
    std::string_view text, const std::function<std::optional<signals::TagIndex>(const std::string&)>& find_tag) {
  return Parser(text, find_tag).parse();
}

}  // namespace twinkeeper::config
