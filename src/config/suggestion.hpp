// "did you mean": the nearest of the names that would have been right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twinkeeper::config {

// Insertions, deletions, replacements and swaps of neighbours, upper and lower case being the same.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

// The nearest candidate if it is near enough (a third of the word, at most 3 edits), else empty.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// ", did you mean \"…\"?" or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// "a, b, c"
[[nodiscard]] std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");

}  // namespace twinkeeper::config
