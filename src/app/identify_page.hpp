// The page that `identify --report` writes: verdict, fits beside persistence and ARX, the rows measured, simulated and
// predicted one step ahead, residuals with their tests, poles and step responses.
//
// Thread rule: pure function. Allocates.
#pragma once

#include <string>
#include <vector>

#include "app/log_report.hpp"
#include "identification/identify.hpp"
#include "logs/report_page.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::app {

struct IdentifyPage {
  const identification::Identified& found;
  const model::StateSpace& model;
  const identification::Cut& cut;
  const LogFindings& log;
  std::string rows, hash;   // of the log
  std::string output_file;  // of the model; empty: none was written
};
// An exit code; what went wrong is told.
[[nodiscard]] int write_identify_page(const std::string& file, const IdentifyPage& content);

}  // namespace twinkeeper::app
