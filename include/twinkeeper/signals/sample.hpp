// A Sample: what one register said at one instant, before and after validation. Plain values, no behaviour.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::signals {

// Index of a tag ("<device>.<register>") in the order of the configuration: devices in order, registers in order.
// The table from index to name lives in the application; on the way of the data a tag is only its number.
using TagIndex = std::uint32_t;
using DeviceIndex = std::uint32_t;

enum class RawKind : std::uint8_t { none, boolean, signed_integer, unsigned_integer, float16, float32, float64, text };

// The value as the device sent it, before scale and offset, in the register's own type.
struct RawValue {
  RawKind kind = RawKind::none;
  std::int64_t integer = 0;     // boolean (0/1), signed_integer
  std::uint64_t natural = 0;    // unsigned_integer
  double real = 0.0;            // float16, float32, float64 (exact in double)
  std::string text;             // text only; empty otherwise, so that moving a numeric sample never allocates
};

struct Sample {
  TagIndex tag = 0;
  double value = std::numeric_limits<double>::quiet_NaN();  // raw × scale + offset; NaN if bad, or for text
  RawValue raw;
  Quality quality = Quality::bad;
  Reason reason = Reason::none;
  std::uint8_t exception_code = 0;  // with Reason::exception: the Modbus exception code
  base::Instant time;               // middle of request and response; for a failed request, of its failure
};

}  // namespace twinkeeper::signals
