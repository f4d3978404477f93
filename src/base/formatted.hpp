// Text by a format of printf, for the few places that print numbers for people.
//
// Thread rule: pure. Allocates. What is longer than 300 bytes is cut.
#pragma once

#include <array>
#include <cstdio>
#include <string>

namespace twinkeeper::base {

template <class... Values>
[[nodiscard]] std::string formatted(const char* format, Values... values) {
  std::array<char, 300> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

}  // namespace twinkeeper::base
