// Rows of a step as a twin tells them, and what a diagnosis makes of steps.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::test {

// Measured `z` standard deviations from what is expected, gated at five.
inline void measure(estimation::OutputStep& row, double expected, double std, double z) {
  row.expected = expected;
  row.std = std;
  row.innovation = z * std;
  row.measured = expected + row.innovation;
  row.test_ratio = z * z / 25.0;
  row.fused = row.test_ratio <= 1.0;
  row.quality = row.fused ? signals::Quality::good : signals::Quality::bad;
  row.reason = row.fused ? signals::Reason::none : signals::Reason::spike;
}

// Ids of the alarms that were raised.
inline std::set<std::string> raised_in(const std::vector<diagnosis::AnomalyEvent>& events) {
  std::set<std::string> ids;
  for (const diagnosis::AnomalyEvent& event : events) {
    if (event.event == diagnosis::AnomalyEventKind::raised) ids.insert(event.id);
  }
  return ids;
}

}  // namespace twinkeeper::test
