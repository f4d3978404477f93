// The regular expression that finds values in a line, as RE2 understands it: linear in the line's length, whatever the
// expression. Bytes are taken as they are (Latin-1), so a line that is no UTF-8 is no special case.
//
// The expression is looked for anywhere in the line; ^ and $ tie it to its ends. Named groups: (?P<name>…).
// Edge rules: a group that takes no part in the match (the other branch of an alternative) has no text at all.
// Thread rule: one thread for each object. Allocation: at compile(), and what RE2 caches while it matches (at most 1
// MiB). Source: Google RE2, re2.h and its syntax page.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/settings.hpp"
#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::drivers {

class LinePattern {
 public:
  // Error invalid_argument: RE2's own words for what is wrong.
  [[nodiscard]] static base::Result<LinePattern> compile(const std::string& expression);
  LinePattern(LinePattern&&) noexcept;
  LinePattern& operator=(LinePattern&&) noexcept;
  ~LinePattern();

  // Names of the named groups, in the order of their places.
  [[nodiscard]] const std::vector<std::string>& groups() const noexcept { return groups_; }
  // Whether the line matches; `texts` then holds one text per name of groups(), with a null data() where the group took
  // no part. They point into `line`.
  [[nodiscard]] bool match(std::string_view line, std::vector<std::string_view>& texts);

 private:
  struct Expression;
  LinePattern(std::unique_ptr<Expression> expression, std::vector<std::string> groups);

  std::unique_ptr<Expression> expression_;
  std::vector<std::string> groups_;
};

// What is wrong with the pattern of a LINE device and with its registers' groups, by paths within the device
// ("line.pattern", "registers[0].group"): a pattern that RE2 refuses or without named groups, groups it does not have.
[[nodiscard]] base::Issues examine_line(const DeviceSettings& device);

}  // namespace twinkeeper::drivers
