// Rows of a step as a twin tells them.
#pragma once

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

}  // namespace twinkeeper::test
