// What telemetry has to know of devices and twins to name what it publishes; the application fills it in once from the
// configuration and the built models.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/settings.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::telemetry {

// For the instants inside a payload; usually Clock::to_wall.
using ToWall = std::function<base::WallTime(base::Instant)>;

// Where a tag comes from, for a technician who goes and looks.
struct TagSource {
  std::string tag;  // "<device>.<register>"
  std::string device;
  std::string controller;  // as configured, "tcp://127.0.0.1:1502"
  int slave_id = 1;
  std::string register_kind;  // coil | discrete | input | holding
  std::uint16_t address = 0;
  std::string group{};  // LINE: in place of the three before
};

struct RegisterDescription {
  std::string name;
  std::string unit;
  std::string register_kind;  // coil | discrete | input | holding
  std::uint16_t address = 0;
  std::string type;        // "FLOAT32"
  std::string byte_order;  // "ABCD"
  std::optional<int> bit;
  std::optional<int> bits;
  std::optional<int> length;
  double scale = 1.0;
  double offset = 0.0;
  bool scaled = false;  // scale or offset was given
  std::optional<double> min_value, max_value, max_rate;
  bool publish = true;
  std::string group{};  // LINE: in place of register_kind, address and byte_order
};

struct DeviceDescription {
  std::string name;
  std::string controller;
  std::string transmission_mode = "TCP";
  std::optional<int> slave_id = 1;  // absent: LINE
  base::Duration poll_interval{};
  std::optional<base::Duration> publish_interval;  // absent: raw samples are not published
  std::vector<RegisterDescription> registers;      // all of them; a snapshot holds those with `publish`, in this order
};

struct ModelIdentity {
  std::string name;
  int version = 1;
  std::string hash;  // "sha256:…"
};

struct SignalDescription {
  std::string name;
  std::string unit;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  // Of inputs and outputs: where the model is meant to hold.
  double valid_min = -std::numeric_limits<double>::infinity();
  double valid_max = std::numeric_limits<double>::infinity();
};

struct InputDescription {
  SignalDescription signal;
  std::optional<TagSource> source;
  std::optional<double> constant;  // a number in the configuration instead of a tag
};

struct OutputDescription {
  SignalDescription signal;
  std::optional<TagSource> source;  // absent: virtual, estimated only
};

struct TwinDescription {
  std::string name;
  base::Duration period{};
  base::Duration state_interval{};
  StateLayout layout = StateLayout::nested;
  ModelIdentity model;
  std::vector<std::string> regimes;  // names, in the order of TwinStep::regime
  struct RegimeLimits {
    std::string regime;
    bool calibrated = false;
  };
  std::vector<RegimeLimits> limits;       // of the regimes, or of the twin as a whole
  std::vector<SignalDescription> states;  // the model's order, as in a TwinStep
  std::vector<InputDescription> inputs;
  std::vector<OutputDescription> outputs;
};

}  // namespace twinkeeper::telemetry
