// The checksum that a line of text may end in; both directions, for the driver and the simulator.
//
//   xor8   <text>*HH   exclusive or of the text's bytes, a leading $ or ! left out (NMEA 0183)
//   sum8   <text>HH    sum of the text's bytes modulo 256 (DCON of ADAM-4000, ICP CON)
//   crc16  <text>HHHH  CRC-16/MODBUS of the text's bytes, the high digits first
// H are hexadecimal digits, read in either case and written in capitals. The terminator is no part of either.
// Thread rule: free functions. Allocation: only append_checksum may grow its text.
// Source: NMEA 0183 §5.3; MODBUS over Serial Line V1.02 §6.2.2 for the polynomial.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

// The text before the checksum; nothing if that is missing or wrong.
[[nodiscard]] std::optional<std::string_view> without_checksum(LineChecksum kind, std::string_view line) noexcept;
void append_checksum(LineChecksum kind, std::string& text);

}  // namespace twinkeeper::drivers
