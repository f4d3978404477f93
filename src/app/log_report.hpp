// What `identify` says of a log before it makes anything of it: rows and their step, gaps, columns with their units and
// what is missing of them, and how rows became samples. As text, as JSON (--check --json), as a section of its page.
//
// Thread rule: pure functions but for what they tell. Allocates.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "identification/experiments.hpp"
#include "identification/resampler.hpp"
#include "logs/log_survey.hpp"
#include "logs/report_page.hpp"

namespace twinkeeper::app {

struct LogFindings {
  const logs::LogSurvey& survey;
  std::vector<std::size_t> columns;  // of the log, in the order to be told
  // Absent: nothing was made of the rows.
  const identification::Resampled* resampled = nullptr;
  double period = 0.0;  // s, of its ticks
};
void print_log(std::ostream& out, const LogFindings& report);
[[nodiscard]] nlohmann::ordered_json json_of_log(const LogFindings& report);
[[nodiscard]] logs::ReportSection log_section(const LogFindings& report);

inline constexpr const char* kLongerStep = ", or a longer --sample-time";
[[nodiscard]] std::optional<std::string> lost_at_gaps(const identification::Cut& cut);

// `identify --check`: what the log has, and what speaks against a model of its signals, if some are named (`cut` is
// theirs; null: none). The exit code: 65 where something does.
[[nodiscard]] int tell_check(const LogFindings& report, const base::Result<identification::Cut>* cut,
                             const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                             bool closed_loop, bool as_json);

}  // namespace twinkeeper::app
