// Words as Modbus sends them: the more significant byte first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace twinkeeper::drivers {

[[nodiscard]] inline std::uint16_t get_word(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return static_cast<std::uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

inline void put_word(std::span<std::uint8_t> bytes, std::size_t at, std::size_t value) noexcept {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace twinkeeper::drivers
