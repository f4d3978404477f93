// Walks through a regular expression as RE2 writes it and takes the shortest text it allows, for LineTemplate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twinkeeper::simulation {

struct PatternPiece {
  std::string text;        // as it stands
  std::string group;       // or the group of this name …
  std::string expression;  // … and what stands between its brackets
};

// `kept`: names of the groups that become pieces of their own; all others are written out. `expression` is one that RE2
// takes.
[[nodiscard]] std::vector<PatternPiece> shortest_line(std::string_view expression,
                                                      const std::vector<std::string>& kept);

}  // namespace twinkeeper::simulation
