// What `identify` needs of a model that is there already: the files of --template and --from.
//
// Thread rule: pure functions but for what they tell on standard error, and for files. Allocates.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/plan.hpp"
#include "identification/candidates.hpp"
#include "identification/grey_box.hpp"

namespace twinkeeper::app {

struct IdentifySignals {
  std::vector<std::string> inputs, outputs;  // names in the log
  ColumnOfSignal input_columns, output_columns;
};

// The model of a file at the step given, its signals and `signals` in one order: by name, or, of a template, by
// position where there is a column for each and those whose name agrees stand at its place. Of a template outputs that
// are not asked for go. An exit code after a fault, which has been told.
[[nodiscard]] std::variant<config::ModelFile, int> known_model_of(const std::string& file, const ColumnsOfLog& log,
                                                                  IdentifySignals& signals, double sample_time);
// On standard output: what was matched by position, for nothing but the order says that it is right.
void tell_positions(const IdentifySignals& signals, const model::ModelSettings& model);

// What a state_space begins with: without the states that only wait, as its provenance (JSON) counts them.
[[nodiscard]] std::variant<identification::WarmStart, int> warm_start_of(const std::string& file,
                                                                         const model::StateSpace& model,
                                                                         const std::string& provenance);

// "A2=0.2:5,a1"; nothing after a fault, which is appended.
[[nodiscard]] std::optional<std::vector<identification::SoughtParameter>> sought_of(const std::string& text,
                                                                                    std::vector<std::string>& faults);

// "a,b, c" → a, b, c
[[nodiscard]] std::vector<std::string> split_names(const std::string& text);

}  // namespace twinkeeper::app
