// How faults of models tell numbers and lists of names.
#pragma once

#include <sstream>
#include <string>

namespace twinkeeper::model {

[[nodiscard]] inline std::string print(double value) {
  std::ostringstream text;
  text.precision(9);
  text << value;
  return text.str();
}

template <class List>
[[nodiscard]] std::string names_of(const List& list) {
  std::string names;
  for (const auto& item : list) names += (names.empty() ? "" : ", ") + item.name;
  return names.empty() ? "none" : names;
}

}  // namespace twinkeeper::model
