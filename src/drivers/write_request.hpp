// The request that writes one register, from its settings and a scaled value.
//
// One coil or word goes with function 5 or 6, several words, or everything on demand, with 15 or 16. A value is rounded
// to the nearest raw value of its type, as Decoder's encode_value does.
// Thread rule: one thread; the request refers to the writer's buffer until the next call. Allocation: none.
// Source: MODBUS Application Protocol V1.1b3 §6.5, §6.6, §6.11, §6.12.
#pragma once

#include <array>
#include <cstdint>

#include "drivers/pdu.hpp"
#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

class WriteEncoder {
 public:
  // `reg` is a coil, or a holding register of a number that fills its words (no bit, no text).
  [[nodiscard]] ReadRequest encode(const RegisterSettings& reg, double value, bool multiple) noexcept;

 private:
  std::array<std::uint8_t, 8> data_{};
};

}  // namespace twinkeeper::drivers
