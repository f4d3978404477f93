// Devices and registers as the drivers use them, in std types only (Telegraf's names where it has them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

enum class RegisterKind { coil, discrete, input, holding };

// BCD16 and BCD32: four and eight decimal digits, one in each half byte.
enum class ValueType {
  BIT,
  INT16,
  UINT16,
  INT32,
  UINT32,
  INT64,
  UINT64,
  FLOAT16,
  FLOAT32,
  FLOAT64,
  BCD16,
  BCD32,
  STRING
};

// Order of the bytes on the wire, A being the most significant: word and byte swaps of big-endian registers. The first
// four hold for values of every size (of eight bytes: ABCDEFGH, HGFEDCBA, BADCFEHG, GHEFCDAB), the others for eight
// bytes only.
enum class ByteOrder { ABCD, DCBA, BADC, CDAB, CDABGHEF, DCBAHGFE, EFGHABCD, FEHGBADC };

// Which byte of a register holds a character of a STRING; both: two characters to a register.
enum class StringLocation { both, upper, lower };

struct RegisterSettings {
  std::string name;
  std::string unit;
  signals::TagIndex tag = 0;  // filled in by config: position over all devices
  RegisterKind kind = RegisterKind::holding;
  std::uint16_t address = 0;  // zero-based protocol address
  ValueType type = ValueType::UINT16;
  ByteOrder byte_order = ByteOrder::ABCD;                 // the device's unless given
  std::optional<int> bit;                                 // BIT in a word, or lowest of `bits`: 0 = least significant
  std::optional<int> bits;                                // integers: that many bits from `bit` on instead of all
  std::optional<int> length;                              // STRING: bytes
  StringLocation string_location = StringLocation::both;  // filled in by config: the device's
  double scale = 1.0;
  double offset = 0.0;
  bool scaled = false;             // scale or offset was given
  base::Duration poll_interval{};  // the device's unless given
  std::string group;               // LINE: the named group of the pattern; the register's name unless given
};

// Words that the register occupies; 1 for a BIT, whether in a word or a coil.
[[nodiscard]] inline std::size_t word_count(const RegisterSettings& settings) noexcept {
  switch (settings.type) {
    case ValueType::BIT:
    case ValueType::INT16:
    case ValueType::UINT16:
    case ValueType::FLOAT16:
    case ValueType::BCD16: return 1;
    case ValueType::INT32:
    case ValueType::UINT32:
    case ValueType::FLOAT32:
    case ValueType::BCD32: return 2;
    case ValueType::INT64:
    case ValueType::UINT64:
    case ValueType::FLOAT64: return 4;
    case ValueType::STRING: break;
  }
  const auto length = static_cast<std::size_t>(settings.length.value_or(1) < 1 ? 1 : *settings.length);
  return settings.string_location == StringLocation::both ? (length + 1) / 2 : length;
}

enum class Optimization { none, max_insert };

struct Workarounds {
  base::Duration pause_after_connect{};
  base::Duration pause_between_requests{};
  bool one_request_per_field = false;
  int max_word_registers_per_request = 125;
  int max_bit_registers_per_request = 2000;
  bool close_connection_after_gather = false;
  StringLocation string_register_location = StringLocation::both;
};

// HOST and port of "tcp://HOST:PORT".
struct TcpAddress {
  std::string host;
  std::uint16_t port = 502;
};

enum class TransmissionMode { TCP, RTUoverTCP, RTU, LINE };

enum class Parity { none, even, odd };

// The serial line behind "file:///dev/…".
struct SerialSettings {
  std::string device;    // as written: a name below /dev/serial/by-id finds the adapter again
  std::string identity;  // the same with its links resolved, filled in by config
  int baud_rate = 9600;
  int data_bits = 8;
  Parity parity = Parity::none;
  int stop_bits = 1;
};

// Checksum at the end of a line, before its terminator, in hexadecimal digits of either case.
enum class LineChecksum {
  none,
  xor8,   // "*HH": exclusive or of the bytes before the *, without a leading $ or ! (NMEA 0183)
  sum8,   // "HH": sum of all bytes before, modulo 256 (DCON)
  crc16,  // "HHHH": CRC-16/MODBUS of all bytes before, high digits first
};

// What an instrument that talks lines of text says, and when.
struct LineSettings {
  std::string request;  // sent once per poll; empty: the instrument speaks by itself
  std::string terminator = "\r\n";
  std::string pattern;  // RE2, found anywhere in the line; its named groups are the values
  int max_line = 256;   // bytes without the terminator
  LineChecksum checksum = LineChecksum::none;

  [[nodiscard]] bool free_running() const noexcept { return request.empty(); }
};

struct DeviceSettings {
  std::string name;
  std::string controller;  // as written
  TransmissionMode transmission_mode = TransmissionMode::TCP;
  TcpAddress address;       // TCP, RTUoverTCP
  SerialSettings line;      // RTU, LINE on file://
  LineSettings instrument;  // LINE
  int slave_id = 1;         // 1..247, over TCP also 0 and 255
  base::Duration poll_interval{};
  base::Duration timeout = std::chrono::seconds{1};
  base::Duration collection_offset{};
  ByteOrder byte_order = ByteOrder::ABCD;
  Optimization optimization = Optimization::max_insert;
  int optimization_max_register_fill = 50;
  int busy_retries = 0;
  Workarounds workarounds;
  std::vector<RegisterSettings> registers;
};

[[nodiscard]] inline bool is_serial(const DeviceSettings& device) { return !device.line.device.empty(); }

// Devices with equal keys are reached through one connection.
[[nodiscard]] inline std::string endpoint_key(const DeviceSettings& device) {
  if (is_serial(device)) {
    return device.line.identity.empty() ? device.line.device : device.line.identity;
  }
  return device.address.host + ":" + std::to_string(device.address.port);
}

}  // namespace twinkeeper::drivers
