// Devices and registers as the drivers use them, in std types only (Telegraf's names where it has them).
#pragma once

#include <algorithm>
#include <array>
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
  const auto length = static_cast<std::size_t>(std::max(1, settings.length.value_or(1)));
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

// libmodbus would take 9600 for any other.
inline constexpr std::array kBaudRates{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600};

// RS-485 switched by the kernel's driver of the line (struct serial_rs485).
struct Rs485Settings {
  base::Duration delay_rts_before_send{};  // whole ms
  base::Duration delay_rts_after_send{};   // whole ms
  bool rts_high_during_send = false;
  bool rts_high_after_send = false;
  bool rx_during_tx = false;
  friend bool operator==(const Rs485Settings&, const Rs485Settings&) = default;
};

// The serial line behind "file:///dev/…".
struct SerialSettings {
  std::string device;    // as written: a name below /dev/serial/by-id finds the adapter again
  std::string identity;  // the same with its links resolved, filled in by config
  int baud_rate = 9600;
  int data_bits = 8;
  Parity parity = Parity::none;
  int stop_bits = 1;
  std::optional<Rs485Settings> rs485;
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

// How a device is reached, alone or with others on a bus.
struct LinkSettings {
  std::string bus;         // its name; empty: it has none
  std::string controller;  // as written
  TransmissionMode transmission_mode = TransmissionMode::TCP;
  TcpAddress address;   // TCP, RTUoverTCP
  SerialSettings line;  // RTU, LINE on file://
};

// A register that commands may write; see write_queue.hpp.
struct WritableSettings {
  std::size_t reg = 0;     // position in DeviceSettings::registers
  double min_value = 0.0;  // scaled, as all of them
  double max_value = 1.0;
  std::optional<double> max_step;  // from the value that it has
  int per_minute = 6;
  bool multiple = false;  // functions 15 and 16 also for one coil or word
};

struct DeviceSettings : LinkSettings {
  std::string name;
  LineSettings instrument;  // LINE
  int slave_id = 1;         // 1..247, over TCP also 0 and 255
  base::Duration poll_interval{};
  base::Duration timeout = std::chrono::seconds{1};
  base::Duration collection_offset{};
  base::Duration collection_jitter{};  // see phase_of
  ByteOrder byte_order = ByteOrder::ABCD;
  Optimization optimization = Optimization::max_insert;
  int optimization_max_register_fill = 50;
  int busy_retries = 0;
  Workarounds workarounds;
  std::vector<RegisterSettings> registers;
  std::vector<WritableSettings> writable;
};

[[nodiscard]] inline bool is_serial(const LinkSettings& link) { return !link.line.device.empty(); }

// Devices with equal keys are reached through one connection.
[[nodiscard]] inline std::string endpoint_key(const LinkSettings& link) {
  if (is_serial(link)) {
    return link.line.identity.empty() ? link.line.device : link.line.identity;
  }
  return link.address.host + ":" + std::to_string(link.address.port);
}

// What the connection is called: its bus, or the controller where it has no name.
[[nodiscard]] inline const std::string& link_name(const LinkSettings& link) noexcept {
  return link.bus.empty() ? link.controller : link.bus;
}

// By how much the polls of a device are shifted on the grid: collection_offset, and a share of collection_jitter that
// its name decides (FNV-1a, mixed as in MurmurHash3). Unlike a random one it leaves the polls equidistant.
[[nodiscard]] inline base::Duration phase_of(const DeviceSettings& device) noexcept {
  std::uint32_t hash = 2166136261U;
  for (const char letter : device.name) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619U;
  // Names that differ only in their last letters would stay close together.
  hash = (hash ^ (hash >> 16)) * 0x85EBCA6BU;
  hash = (hash ^ (hash >> 13)) * 0xC2B2AE35U;
  hash ^= hash >> 16;
  const double share = static_cast<double>(hash) / 4294967296.0;
  return device.collection_offset +
         base::Duration{static_cast<std::int64_t>(share * static_cast<double>(device.collection_jitter.count()))};
}

}  // namespace twinkeeper::drivers
