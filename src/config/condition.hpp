// Conditions as a person writes them: comparisons of tags with numbers, joined.
//
//   condition = term {"or" term}       term   = factor {"and" factor}      factor = "not" factor | "(" condition ")" |
//   comparison                         comparison = TAG op NUMBER | NUMBER op TAG      op = < <= > >= == !=
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "acquisition/settings.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::config {

// `find_tag` knows the tags that have numbers. Errors: invalid_argument, naming what stands where something else
// should.
[[nodiscard]] base::Result<acquisition::Condition> parse_condition(
    std::string_view text, const std::function<std::optional<signals::TagIndex>(const std::string&)>& find_tag);

}  // namespace twinkeeper::config
