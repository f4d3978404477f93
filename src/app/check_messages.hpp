// Every stream that a plan makes, with the size of its messages as the encoders write them: all numbers as long as they
// get, nothing bad or stale; for samples beside that the size while the device is lost. For `check`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/plan.hpp"

namespace twinkeeper::app {

struct PlannedStream {
  std::string stream;                      // "twins.tanks.state"
  std::string when;                        // "every 1s", "on each event of an anomaly"
  std::optional<base::Duration> interval;  // absent: on events
  std::size_t message_bytes = 0;           // with the envelope
  std::size_t lost_bytes = 0;              // the same while the device does not answer; 0: no different
  bool spooled = true;
  bool packed = false;     // its backlog travels in packets on P/backlog
  bool is_packet = false;  // the packets themselves: many messages in one
  std::string path;        // the key that decides the size, …
  std::string smaller;     // … and what makes it smaller
};

// States, samples (of devices that publish none by themselves: if a command may ask for them), status, metrics, infos,
// anomalies, gap and backlog. The plan has an uplink.
[[nodiscard]] std::vector<PlannedStream> planned_streams(const Plan& plan);

// Between two published states: a whole number of the twin's periods, at least one.
[[nodiscard]] base::Duration actual_state_interval(const config::TwinConfig& twin);

}  // namespace twinkeeper::app
