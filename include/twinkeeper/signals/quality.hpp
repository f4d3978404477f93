// How far a value can be trusted and, when it cannot, why.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace twinkeeper::signals {

enum class Quality : std::uint8_t { good, uncertain, bad };

enum class Reason : std::uint8_t {
  none,            // quality is good
  stale,           // no newer sample within max_age
  timeout,         // the device did not answer, or could not be reached
  exception,       // the device answered with a Modbus exception
  out_of_range,    // outside min_value..max_value
  rate_of_change,  // moved faster than max_rate
  stuck,           // unchanged for longer than the sensor's noise allows
  spike,           // rejected by the twin's gate
  error_value,     // the device's own marker for "no value"
  not_finite,      // NaN or infinity
  no_match,        // the reply did not match the request (or the line its pattern)
  saturated,       // limited to the input's range before use
};

[[nodiscard]] std::string_view to_string(Quality quality) noexcept;
[[nodiscard]] std::string_view to_string(Reason reason) noexcept;

}  // namespace twinkeeper::signals
