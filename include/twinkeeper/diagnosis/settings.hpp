// Limits and delays of the diagnosis, in std types only.
#pragma once

#include <optional>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

struct CusumSettings {
  bool enabled = true;
  double drift = 0.5;   // k, in standard deviations of the innovation
  double limit = 16.0;  // h, in the same; alarm above it, clear below half of it
};

struct DiagnosisSettings {
  std::optional<double> gate = 5.0;                        // g, in standard deviations; absent: off
  base::Duration gate_timeout = std::chrono::seconds{30};  // rejection in a row after which the other rows decide
  CusumSettings cusum;
  base::Duration on_delay = std::chrono::seconds{2};
  base::Duration off_delay = std::chrono::seconds{60};
};

}  // namespace twinkeeper::diagnosis
