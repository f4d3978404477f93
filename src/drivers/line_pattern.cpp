#include "drivers/line_pattern.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <utility>

namespace twinkeeper::drivers {
namespace {

RE2::Options options() {
  RE2::Options out;
  out.set_encoding(RE2::Options::EncodingLatin1);
  out.set_log_errors(false);
  out.set_max_mem(1 << 20);
  return out;
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

struct LinePattern::Expression {
  explicit Expression(const std::string& text) : re(text, options()) {}
  RE2 re;
  std::vector<int> places;               // of the named groups among all
  std::vector<re2::StringPiece> pieces;  // of the newest match: the whole of it, then all groups
};

base::Result<LinePattern> LinePattern::compile(const std::string& text) {
  auto expression = std::make_unique<Expression>(text);
  if (!expression->re.ok()) return base::Error{base::ErrorCode::invalid_argument, expression->re.error()};
  std::vector<std::string> names;
  for (const auto& [place, name] : expression->re.CapturingGroupNames()) {
    expression->places.push_back(place);
    names.push_back(name);
  }
  expression->pieces.resize(static_cast<std::size_t>(expression->re.NumberOfCapturingGroups()) + 1);
  return LinePattern(std::move(expression), std::move(names));
}

LinePattern::LinePattern(std::unique_ptr<Expression> expression, std::vector<std::string> groups)
    : expression_(std::move(expression)), groups_(std::move(groups)) {}
LinePattern::LinePattern(LinePattern&&) noexcept = default;
LinePattern& LinePattern::operator=(LinePattern&&) noexcept = default;
LinePattern::~LinePattern() = default;

bool LinePattern::match(std::string_view line, std::vector<std::string_view>& texts) {
  auto& pieces = expression_->pieces;
  if (!expression_->re.Match({line.data(), line.size()}, 0, line.size(), RE2::UNANCHORED, pieces.data(),
                             static_cast<int>(pieces.size()))) {
    return false;
  }
  texts.clear();
  for (const int place : expression_->places) {
    const re2::StringPiece& piece = pieces[static_cast<std::size_t>(place)];
    texts.emplace_back(piece.data(), piece.size());
  }
  return true;
}

base::Issues examine_line(const DeviceSettings& device) {
  base::Issues issues;
  auto pattern = LinePattern::compile(device.instrument.pattern);
  if (!pattern) {
    issues.push_back({"line.pattern", "is no regular expression that RE2 takes: " + pattern.error().message(),
                      "an expression with named groups, such as (?P<weight>[-+0-9.]+) kg"});
    return issues;
  }
  const std::vector<std::string>& groups = pattern.value().groups();
  if (groups.empty()) {
    issues.push_back({"line.pattern", "has no named group", "at least one, such as (?P<weight>[-+0-9.]+)"});
    return issues;
  }
  for (std::size_t r = 0; r < device.registers.size(); ++r) {
    const std::string& group = device.registers[r].group;
    if (std::find(groups.begin(), groups.end(), group) != groups.end()) continue;
    issues.push_back({"registers[" + std::to_string(r) + "].group", "the pattern has no group \"" + group + "\"",
                      "a named group of line.pattern: " + join(groups)});
  }
  return issues;
}

}  // namespace twinkeeper::drivers
