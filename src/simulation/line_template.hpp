// Makes lines of text that a LINE device's pattern matches, out of the pattern itself.
//
// Everything that is not the group of a numeric register is written in the shortest way the expression allows: literals
// as they stand, of alternatives the first, of a class its first character, nothing for what is optional (* ? {0,})
// unless a register's group is in it. The group of a numeric register takes its value in the most exact form of these
// that the group's own expression matches: shortest that reads back, 6 … 0 decimals; without and with a plus sign;
// padded with zeros to 2 … 12 characters. Whether it worked is asked of the pattern: create() makes lines for a few
// values, and one of them must match with every group reading as it was written. What does not is refused: a pattern
// with \Q…\E, \p or \b, or ambiguous groups. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/line_pattern.hpp"
#include "drivers/settings.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::simulation {

class LineTemplate {
 public:
  // Error invalid_argument: no line can be made of the pattern. `device` has passed drivers::examine_line.
  [[nodiscard]] static base::Result<LineTemplate> create(const drivers::DeviceSettings& device);

  // The line, without checksum and terminator; `values` by register of the device. A value that the pattern can't show
  // (a negative one without a sign) stands there all the same, and the reader finds no match.
  [[nodiscard]] std::string line(std::span<const signals::RawValue> values);

  struct Piece {
    std::string text;                  // as it stands
    std::optional<std::size_t> group;  // or a value: position in numbers_
  };
  struct Number {
    std::string name;
    drivers::LinePattern form;  // the group's expression, tied to both ends
    std::vector<std::size_t> registers;
  };

 private:
  LineTemplate(std::vector<Piece> pieces, std::vector<Number> numbers)
      : pieces_(std::move(pieces)), numbers_(std::move(numbers)) {}

  std::vector<Piece> pieces_;
  std::vector<Number> numbers_;
  std::vector<std::string_view> texts_;  // scratch
};

}  // namespace twinkeeper::simulation
