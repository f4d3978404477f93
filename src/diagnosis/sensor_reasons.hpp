// The reasons of acquisition that speak of a sensor, and how an alarm about each of them reads.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::diagnosis {

inline constexpr std::array<signals::Reason, 5> kSensorReasons = {
    signals::Reason::not_finite, signals::Reason::error_value, signals::Reason::out_of_range,
    signals::Reason::rate_of_change, signals::Reason::stuck};

[[nodiscard]] bool is_sensor_reason(signals::Reason reason) noexcept;
// timeout, exception, no_match, stale: nothing was heard, so nothing is known of the sensor.
[[nodiscard]] bool is_silence(signals::Reason reason) noexcept;

// `id_prefix` is "<twin>.<signal>" or "<device>.<register>"; delays are left to the caller.
[[nodiscard]] AlarmDefinition sensor_alarm(const std::string& id_prefix, signals::Reason reason,
                                           const std::string& tag);

}  // namespace twinkeeper::diagnosis
