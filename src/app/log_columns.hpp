// What commands that read logs share: which twin, which column is which signal, and how a fault becomes an exit code.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "logs/log_reader.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::app {

// Of a log that can't be read.
[[nodiscard]] int exit_code_of_log(const base::Error& error);
[[nodiscard]] std::string join(const std::vector<std::string>& names);

// The twin of --twin, or the only one; nothing after a fault, which has been told.
[[nodiscard]] std::optional<std::size_t> choose_twin(const Plan& plan, const std::string& command,
                                                     const std::optional<std::string>& name);

struct ColumnsOfLog {
  const std::string& file;
  const std::vector<logs::LogColumn>& columns;
};
// "Volume Flow RateRMS" → "Volume_Flow_RateRMS": what a model has to call it, as its names are identifiers.
[[nodiscard]] std::string as_identifier(const std::string& name);
// The column of this name, or else the first whose identifier it is.
[[nodiscard]] std::optional<std::size_t> column_named(const std::vector<logs::LogColumn>& columns,
                                                      const std::string& name);
// Every name that a model may give one of the columns.
[[nodiscard]] std::vector<std::string> names_of(const std::vector<logs::LogColumn>& columns);

using TagsOfColumns = std::vector<std::optional<signals::TagIndex>>;  // absent: a column that is not used
enum class InputsNeeded { none, all };

// By name (or the identifier made of it: "flow rate" is flow_rate) and unit; `names` are those of the tags. What the
// log lacks is a warning, but for inputs if they are needed and for a log without any output of the twin. Nothing after
// a fault; all of them have been told.
[[nodiscard]] std::optional<TagsOfColumns> match_columns(const ColumnsOfLog& log, const Plan& plan, std::size_t twin,
                                                         const std::vector<std::string>& names, InputsNeeded inputs);

// Whether the twins can be made of what the log has of the plan's model; if not, it is told.
[[nodiscard]] bool has_columns_enough(const std::string& log_file, const Plan& plan);
}  // namespace twinkeeper::app
