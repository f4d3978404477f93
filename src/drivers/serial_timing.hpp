// How long bytes take on a serial line, and the silence that parts Modbus RTU frames.
// Source: MODBUS over Serial Line V1.02 §2.5.1.1: 3.5 characters, above 19200 baud a fixed 1.75 ms.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

struct SerialTiming {
  base::Duration character{};  // start, data, parity and stop bits; zero: no line, but a stream through a network

  [[nodiscard]] base::Duration duration_of(std::size_t bytes) const noexcept {
    return static_cast<std::int64_t>(bytes) * character;
  }
  [[nodiscard]] base::Duration frame_gap() const noexcept {
    if (character == base::Duration::zero()) return character;
    return std::max<base::Duration>(character * 7 / 2, std::chrono::microseconds{1750});
  }
};

[[nodiscard]] inline SerialTiming timing_of(const SerialSettings& line) noexcept {
  const int bits = 1 + line.data_bits + (line.parity == Parity::none ? 0 : 1) + line.stop_bits;
  return {std::chrono::nanoseconds{1'000'000'000LL * bits / line.baud_rate}};
}

}  // namespace twinkeeper::drivers
